import { EventEmitter } from 'node:events';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { LatchkeyClient, WatchMessage } from '../../deploy/websocket-gateway/latchkey-client.js';
import { RevocationFeed } from '../../deploy/websocket-gateway/revocation-feed.js';

class FakeWatch extends EventEmitter {
  cancelled = false;

  constructor(readonly after: string) {
    super();
  }

  cancel(): void {
    this.cancelled = true;
  }

  say(sequence: string, keyId?: string): void {
    const message: WatchMessage =
      keyId === undefined ? { sequence } : { sequence, revocation: { key_id: keyId, account_id: 'a' } };
    this.emit('data', message);
  }
}

let watches: FakeWatch[];
let told: string[];
let feed: RevocationFeed;
const last = (): FakeWatch => watches.at(-1) as FakeWatch;

beforeEach(() => {
  vi.useFakeTimers();
  watches = [];
  told = [];
  const client = {
    watchRevocations({ after_sequence }: { after_sequence: string }) {
      watches.push(new FakeWatch(after_sequence));
      return last();
    },
  } as unknown as LatchkeyClient;
  feed = new RevocationFeed(client, {
    revoked: (keyId) => told.push(keyId),
    begun: () => told.push('begun'),
  });
  feed.open();
});

afterEach(() => {
  feed.close();
  vi.useRealTimers();
});

const fail = (code: status): void => void last().emit('error', Object.assign(new Error('ended'), { code }));

describe("the example gateway's watch", () => {
  test('is up from its first message on, and tells each revocation', () => {
    expect(feed.up).toBe(false);
    last().say('7');
    last().say('8', 'key-1');
    expect([feed.up, told]).toEqual([true, ['begun', 'key-1']]);
  });

  test.each([status.UNAVAILABLE, status.ABORTED, status.INTERNAL])(
    'resumes after its last sequence when it ends with code %i, and has everything checked',
    (code) => {
      last().say('7');
      last().say('8', 'key-1');
      fail(code);
      expect(feed.up).toBe(false);
      vi.advanceTimersByTime(2_000);
      expect(watches.map(({ after }) => after)).toEqual(['0', '8']);
      last().say('9', 'key-2');
      expect([feed.up, told]).toEqual([true, ['begun', 'key-1', 'key-2', 'begun']]);
    },
  );

  test('begins from now on, and has everything checked, where its sequence is not kept any more', () => {
    last().say('7');
    fail(status.OUT_OF_RANGE);
    vi.advanceTimersByTime(2_000);
    expect(last().after).toBe('0');
    last().say('900');
    expect(told).toEqual(['begun', 'begun']);
  });

  test('gives up a connection that is only silent', () => {
    last().say('7');
    const silent = last();
    vi.advanceTimersByTime(12_000);
    expect([silent.cancelled, feed.up]).toEqual([true, false]);
    vi.advanceTimersByTime(2_000);
    expect(last().after).toBe('7');
    // What the old one still says is nobody's.
    silent.say('8', 'key-1');
    expect(told).toEqual(['begun']);
  });

  test('stops for good when it is closed', () => {
    feed.close();
    expect(last().cancelled).toBe(true);
    fail(status.CANCELLED);
    vi.advanceTimersByTime(60_000);
    expect(watches).toHaveLength(1);
  });
});
