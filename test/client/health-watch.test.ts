import { EventEmitter } from 'node:events';
import { type Client, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { HealthWatch } from '../../src/client/health-watch.js';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** A server of which every watch is seen, and ended by hand. */
function server() {
  const watches: (EventEmitter & { cancel(): void })[] = [];
  const client = {
    makeServerStreamRequest() {
      const watch = Object.assign(new EventEmitter(), { cancel() {} });
      watches.push(watch);
      return watch;
    },
  } as unknown as Client;
  /** Ends the newest watch as gRPC does. */
  const end = (code: status) => {
    const watch = watches.at(-1);
    if (code !== status.OK) watch?.emit('error', Object.assign(new Error('why'), { code, details: 'why' }));
    watch?.emit('end');
    watch?.emit('status', { code, details: 'why' });
  };
  return { watches, end, health: new HealthWatch(client) };
}

it('takes a server without health as it is, and does not ask it again', async () => {
  const { watches, end, health } = server();
  end(status.UNIMPLEMENTED);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(watches).toHaveLength(1);
  expect(health.state).toBe('unknown');
});

it.each([status.UNAVAILABLE, status.OK])('asks again, once, when a watch ended with %s', async (code) => {
  const { watches, end, health } = server();
  watches[0]?.emit('data', true);
  expect(health.state).toBe('serving');
  end(code);
  expect(health.state).toBe('not-serving');
  await vi.advanceTimersByTimeAsync(60_000);
  expect(watches).toHaveLength(2);
});

it('asks nobody any more once it is closed', async () => {
  const { watches, end, health } = server();
  health.close();
  end(status.CANCELLED);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(watches).toHaveLength(1);
});
