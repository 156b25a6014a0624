import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { HistoryEvent, HistoryEventKind } from '../../src/domain/history-event.js';
import type { WatchMessage } from '../../src/service/revocation-watch.js';
import { HEARTBEAT_MS, WatchRevocations } from '../../src/service/watch-revocations.js';
import { FakeClock } from '../support/fakes/fake-clock.js';
import { FakeLease } from '../support/fakes/fake-lease.js';
import { FakeTimers } from '../support/fakes/fake-timers.js';
import { RecordingMetrics } from '../support/fakes/recording-metrics.js';
import { settle } from '../support/fakes/settle.js';
import { MemoryLog } from '../support/memory-log.js';

const cleanups: (() => void)[] = [];

afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

function setUp(recentEvents?: number) {
  const log = new MemoryLog();
  const timers = new FakeTimers(new FakeClock());
  const metrics = new RecordingMetrics();
  const lease = new FakeLease().grant();
  const watch = new WatchRevocations({
    log,
    lease,
    timers,
    metrics,
    ...(recentEvents === undefined ? {} : { recentEvents }),
  });
  /** Commits and applies, as the sidecar does in the ordinary case. */
  const revoke = (keyId: string, accountId?: string): HistoryEvent => {
    const event = log.revoke(keyId, accountId);
    watch.apply(event);
    return event;
  };
  return { log, lease, timers, metrics, watch, revoke };
}

/** Reads a watch to its end in the background. */
function follow(watch: WatchRevocations, afterSequence: bigint, accountId = '') {
  const messages: WatchMessage[] = [];
  const leave = new AbortController();
  cleanups.push(() => leave.abort());
  let failure: unknown = null;
  const done = (async () => {
    try {
      for await (const message of watch.watch({ afterSequence, accountId }, leave.signal)) messages.push(message);
    } catch (error) {
      failure = error;
    }
  })();
  return {
    messages,
    leave: () => leave.abort(),
    done,
    get failure() {
      return failure;
    },
    get keys() {
      return messages.flatMap(({ revocation }) => revocation?.keyId ?? []);
    },
    get sequence() {
      return messages.at(-1)?.sequence;
    },
  };
}

/** Lets every watcher come to rest, reads of the log included. */
async function rest(): Promise<void> {
  for (let i = 0; i < 20; i++) await settle();
}

describe('a watch from now on', () => {
  it('begins with a heartbeat at the newest event and tells what comes after it', async () => {
    const { log, watch, revoke } = setUp();
    log.revoke('before');
    const watcher = follow(watch, 0n);
    await rest();
    expect(watcher.messages).toEqual([{ sequence: 1n, revocation: null }]);
    const { sequence, atMs } = revoke('after');
    await rest();
    expect(watcher.messages.at(-1)).toEqual({
      sequence,
      revocation: { keyId: 'after', accountId: 'account-a', appId: '', revokedAtMs: atMs },
    });
  });

  it('asks the log nothing once the sidecar has applied an event', async () => {
    const { log, watch, revoke } = setUp();
    revoke('before');
    log.failing = 1;
    const watcher = follow(watch, 0n);
    await rest();
    revoke('after');
    await rest();
    expect([watcher.keys, log.reads]).toEqual([['after'], 0]);
  });

  it('tells everything after its first heartbeat, whatever happened while it began', async () => {
    const { log, watch } = setUp();
    log.revoke('old');
    const watcher = follow(watch, 0n);
    // The first read is on its way: one is committed and applied, and one only committed, before it returns.
    watch.apply(log.revoke('early'));
    const unapplied = log.revoke('unapplied');
    await rest();
    const begun = watcher.messages[0]?.sequence ?? -1n;
    watch.apply(unapplied);
    watch.apply(log.revoke('late'));
    await rest();
    expect(watcher.keys).toEqual(['old', 'early', 'unapplied', 'late'].slice(Number(begun)));
    expect(watcher.keys.at(-1)).toBe('late');
  });

  it('begins at 0 where nothing has ever happened', async () => {
    const { watch, revoke } = setUp();
    const watcher = follow(watch, 0n);
    await rest();
    expect(watcher.sequence).toBe(0n);
    revoke('first');
    await rest();
    expect(watcher.keys).toEqual(['first']);
  });
});

describe('a resumed watch', () => {
  it('tells everything after its sequence, in order, then goes on live', async () => {
    const { log, watch, revoke } = setUp();
    // More than one page of the log.
    const missed = Array.from({ length: 2_500 }, (_, i) => `missed-${i}`);
    log.revoke('known');
    for (const keyId of missed) log.revoke(keyId);
    const watcher = follow(watch, 1n);
    await rest();
    revoke('live');
    await rest();
    expect(watcher.keys).toEqual([...missed, 'live']);
    expect(watcher.messages.map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: 2_502 }, (_, i) => BigInt(i + 1)),
    );
  });

  it('resumes from memory when its sequence is kept there', async () => {
    const { log, watch, revoke } = setUp();
    for (const keyId of ['a', 'b', 'c']) revoke(keyId);
    log.failing = 1;
    const watcher = follow(watch, 1n);
    await rest();
    expect([watcher.keys, watcher.failure]).toEqual([['b', 'c'], null]);
  });

  it('resumes right before the oldest event that is kept', async () => {
    const { log, watch } = setUp();
    for (const keyId of ['a', 'b', 'c']) log.revoke(keyId);
    log.prune(2n);
    const watcher = follow(watch, 2n);
    await rest();
    expect(watcher.keys).toEqual(['c']);
  });

  it('resumes at a head of which no event is kept', async () => {
    const { log, watch, revoke } = setUp();
    log.revoke('a');
    log.prune(1n);
    const watcher = follow(watch, 1n);
    await rest();
    revoke('b');
    await rest();
    expect(watcher.keys).toEqual(['b']);
  });

  it.each([
    ['older than what is kept', 1n],
    ['ahead of the newest', 5n],
    ['beyond what the database can count', 2n ** 64n - 1n],
  ])('ends with history-pruned when its sequence is %s', async (_, sequence) => {
    const { log, watch } = setUp();
    for (const keyId of ['a', 'b', 'c', 'd']) log.revoke(keyId);
    log.prune(2n);
    const watcher = follow(watch, sequence);
    await watcher.done;
    expect(watcher.failure).toMatchObject({ kind: 'history-pruned' });
    expect(watcher.messages).toEqual([]);
  });

  it('ends with history-pruned when what it still has to read is pruned meanwhile', async () => {
    const { log, watch } = setUp();
    for (let i = 0; i < 1_500; i++) log.revoke(`${i}`);
    const messages: WatchMessage[] = [];
    const read = async () => {
      for await (const message of watch.watch({ afterSequence: 1n, accountId: '' }, new AbortController().signal)) {
        messages.push(message);
        if (messages.length === 10) log.prune(1_400n);
      }
    };
    await expect(read()).rejects.toMatchObject({ kind: 'history-pruned' });
    expect(messages.at(-1)?.sequence).toBe(1_001n);
  });

  it('fails with unavailable when the log cannot be read', async () => {
    const { log, watch } = setUp();
    log.revoke('a');
    log.failing = 1;
    const watcher = follow(watch, 1n);
    await watcher.done;
    expect(watcher.failure).toMatchObject({ kind: 'unavailable' });
  });

  it('reads the log for four watchers at a time, however many there are', async () => {
    const { log, watch } = setUp();
    for (const keyId of ['a', 'b']) log.revoke(keyId);
    const watchers = Array.from({ length: 50 }, () => follow(watch, 1n));
    for (let i = 0; i < 10; i++) await rest();
    expect(watchers.every(({ keys }) => keys.join() === 'b')).toBe(true);
    expect(log.mostAtOnce).toBe(4);
  });
});

describe('what is told', () => {
  it.each<[HistoryEventKind, boolean]>([
    ['key-created', false],
    ['key-changed', false],
    ['key-revoked', true],
    ['key-deleted', true],
    ['workflow-changed', false],
  ])('of %s: %s', async (kind, told) => {
    const { log, watch } = setUp();
    log.revoke('known');
    const watcher = follow(watch, 1n);
    await rest();
    watch.apply(log.commit(kind, { keyId: 'k', accountId: 'account-a', appId: 'app' }));
    await rest();
    expect(watcher.keys).toEqual(told ? ['k'] : []);
    if (told) expect(watcher.messages.at(-1)?.revocation?.appId).toBe('app');
  });

  it.each([
    ['a change without a name', 'everything-changed', {}],
    ['a kind of a newer version', 'key-frozen' as HistoryEventKind, { keyId: 'k', accountId: 'account-a' }],
    ['a revocation that names no key', 'key-revoked', { accountId: 'account-a' }],
    ['a revocation that names no account', 'key-revoked', { keyId: 'k' }],
  ] as const)('ends the watch with history-pruned at %s, live and from the log', async (_, kind, given) => {
    const { log, watch } = setUp();
    log.revoke('known');
    const live = follow(watch, 1n);
    await rest();
    watch.apply(log.commit(kind, given));
    await live.done;
    const late = follow(watch, 1n);
    await late.done;
    expect([live.failure, late.failure]).toMatchObject([{ kind: 'history-pruned' }, { kind: 'history-pruned' }]);
  });

  it('is of the asked account only, while the sequence moves on', async () => {
    const { watch, revoke, timers } = setUp();
    const watcher = follow(watch, 0n, 'account-a');
    await rest();
    revoke('other', 'account-b');
    revoke('mine');
    // Compared exactly.
    revoke('look-alike', 'Account-a');
    await rest();
    expect(watcher.keys).toEqual(['mine']);
    timers.advance(HEARTBEAT_MS);
    await rest();
    expect(watcher.messages.at(-1)).toEqual({ sequence: 3n, revocation: null });
  });
});

describe('heartbeats', () => {
  it('come after every silence, with the sequence up to which nothing was missed', async () => {
    const { log, watch, timers } = setUp();
    log.revoke('a');
    const watcher = follow(watch, 1n);
    await rest();
    timers.advance(HEARTBEAT_MS - 1);
    await rest();
    expect(watcher.messages).toHaveLength(1);
    timers.advance(1);
    await rest();
    // Committed, but not applied here: the feed stands still, and so does the sequence.
    log.revoke('b');
    timers.advance(HEARTBEAT_MS);
    await rest();
    expect(watcher.messages).toEqual(Array(3).fill({ sequence: 1n, revocation: null }));
  });

  it('are not sent while there is no lease: a revocation may be confirmed that this sidecar has not heard of', async () => {
    const { lease, log, watch, timers } = setUp();
    log.revoke('a');
    const watcher = follow(watch, 1n);
    await rest();
    lease.lose();
    for (let beat = 0; beat < 3; beat++) {
      timers.advance(HEARTBEAT_MS);
      await rest();
    }
    expect(watcher.messages).toHaveLength(1);
    lease.grant();
    timers.advance(HEARTBEAT_MS);
    await rest();
    expect(watcher.messages).toHaveLength(2);
  });

  it('are not put off by events of other accounts', async () => {
    const { watch, revoke, timers } = setUp();
    const watcher = follow(watch, 0n, 'account-a');
    await rest();
    for (let i = 0; i < 10; i++) {
      timers.advance(HEARTBEAT_MS / 5);
      revoke(`${i}`, 'account-b');
      await rest();
    }
    expect(watcher.messages).toHaveLength(3);
  });
});

describe('a watcher that falls behind', () => {
  it('is cut off with slow-reader once what it has not read is no longer kept, and misses nothing by resuming', async () => {
    const { watch, revoke, metrics } = setUp(10);
    revoke('first');
    const slow = watch.watch({ afterSequence: 0n, accountId: '' }, new AbortController().signal);
    await slow.next();
    revoke('seen');
    const last = await slow.next();
    for (let i = 0; i < 11; i++) revoke(`${i}`);
    await expect(slow.next()).rejects.toMatchObject({ kind: 'slow-reader' });
    expect(metrics.count('watcherCutOff')).toBe(1);

    const resumed = follow(watch, (last.value as WatchMessage).sequence);
    await rest();
    expect(resumed.keys).toEqual(Array.from({ length: 11 }, (_, i) => `${i}`));
  });

  it('is not cut off while it is no further behind than what is kept', async () => {
    const { watch, revoke } = setUp(10);
    revoke('first');
    const slow = watch.watch({ afterSequence: 0n, accountId: '' }, new AbortController().signal);
    await slow.next();
    for (let i = 0; i < 10; i++) revoke(`${i}`);
    for (let i = 0; i < 10; i++) expect((await slow.next()).value?.revocation?.keyId).toBe(`${i}`);
  });

  it('may catch up from the log however far behind it began', async () => {
    const { watch, revoke } = setUp(10);
    for (let i = 0; i < 100; i++) revoke(`${i}`);
    const watcher = follow(watch, 1n);
    await rest();
    expect(watcher.keys).toHaveLength(99);
  });
});

describe('when caches start over', () => {
  it('goes on without a gap where the history is the same', async () => {
    const { log, watch, revoke } = setUp();
    revoke('a');
    const watcher = follow(watch, 0n);
    await rest();
    // Committed and never applied: the sidecar begins again behind it.
    log.revoke('missed');
    watch.forgetAll();
    await rest();
    watch.apply(log.revoke('after'));
    await rest();
    expect([watcher.keys, watcher.failure]).toEqual([['missed', 'after'], null]);
  });

  it('ends with history-pruned where the history is another one, even with as many events', async () => {
    const { log, watch, revoke } = setUp();
    revoke('a');
    revoke('lost');
    const watcher = follow(watch, 1n);
    await rest();
    log.rewind(1n);
    log.commit('key-revoked', { keyId: 'new', accountId: 'account-a', token: 'another' });
    watch.forgetAll();
    await watcher.done;
    expect(watcher.failure).toMatchObject({ kind: 'history-pruned' });
    expect(watcher.keys).toEqual(['lost']);
  });

  it('waits for a log that cannot be read just then, and proves the history afterwards', async () => {
    const { log, watch, revoke, timers } = setUp();
    revoke('a');
    const watcher = follow(watch, 0n);
    await rest();
    log.failing = 2;
    log.revoke('missed');
    watch.forgetAll();
    for (let i = 0; i < 3; i++) {
      await rest();
      timers.advance(1_000);
    }
    await rest();
    expect([watcher.keys, watcher.failure]).toEqual([['missed'], null]);
  });

  it('does not let a client resume by number alone when the history stays unproven', async () => {
    const { log, watch, revoke, timers } = setUp();
    revoke('a');
    const watcher = follow(watch, 0n);
    await rest();
    log.failing = 1_000;
    watch.forgetAll();
    for (let i = 0; i < 10; i++) {
      await rest();
      timers.advance(1_000);
    }
    await watcher.done;
    expect(watcher.failure).toMatchObject({ kind: 'history-pruned' });
  });
});

describe('leaving', () => {
  it('ends the watch quietly, leaves no timer, and is counted', async () => {
    const { timers } = setUp();
    let gauge: () => number = () => -1;
    const metrics = Object.assign(new RecordingMetrics(), {
      watchers(read: () => number) {
        gauge = read;
      },
    });
    const counted = new WatchRevocations({ log: new MemoryLog(), lease: new FakeLease().grant(), timers, metrics });
    const watchers = [follow(counted, 0n), follow(counted, 0n)];
    await rest();
    expect(gauge()).toBe(2);
    for (const watcher of watchers) {
      watcher.leave();
      await watcher.done;
    }
    expect([gauge(), timers.pending, watchers.map(({ failure }) => failure)]).toEqual([0, 0, [null, null]]);
  });
});

describe('whatever happens in whatever order', () => {
  // Commits, applications that lag behind, start-overs, leaving and resuming: what was told is each revocation once.
  const step = fc.constantFrom('revoke', 'other', 'apply', 'apply', 'rest', 'start-over', 'reconnect', 'heartbeat');

  it('tells every revocation exactly once and in order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { log, watch, timers } = setUp(1_000);
        const committed: HistoryEvent[] = [log.revoke('known')];
        let applied = 1;
        watch.apply(committed[0] as HistoryEvent);
        let watcher = follow(watch, 1n);
        const told: string[] = [];
        for (const what of [...steps, 'rest', 'all', 'rest'] as const) {
          if (what === 'revoke') committed.push(log.revoke(`key-${committed.length}`));
          else if (what === 'other') committed.push(log.commit('key-created'));
          else if (what === 'rest') await rest();
          else if (what === 'heartbeat') timers.advance(HEARTBEAT_MS);
          else if (what === 'start-over') {
            watch.forgetAll();
            // Begins behind the newest event, as a sidecar does.
            applied = committed.length;
          } else if (what === 'reconnect') {
            watcher.leave();
            await watcher.done;
            told.push(...watcher.keys);
            watcher = follow(watch, watcher.sequence ?? 1n);
          } else {
            const end = what === 'all' ? committed.length : Math.min(applied + 1, committed.length);
            while (applied < end) watch.apply(committed[applied++] as HistoryEvent);
          }
        }
        if (watcher.sequence !== undefined && watcher.sequence < BigInt(committed.length)) {
          // After a start over nothing is applied until the next event: it reveals what was missed.
          const last = log.revoke('last');
          committed.push(last);
          watch.apply(last);
          await rest();
        }
        told.push(...watcher.keys);
        const revoked = committed.slice(1).flatMap(({ kind, keyId }) => (kind === 'key-revoked' ? (keyId ?? []) : []));
        expect(told).toEqual(revoked);
        watcher.leave();
        await watcher.done;
        expect(timers.pending).toBe(0);
      }),
      { numRuns: 150 },
    );
  }, 60_000);
});
