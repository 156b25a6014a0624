import { beforeEach, describe, expect, it } from 'vitest';
import { LeaseDriver } from '../../src/coherence/lease-driver.js';
import { sidecarMarginMs } from '../../src/coherence/margins.js';
import { NO_LEASE } from '../../src/ports/lease.js';
import { silentLogger } from '../../src/ports/logger.js';
import { FakeClock } from '../support/fakes/fake-clock.js';
import { FakeTimers } from '../support/fakes/fake-timers.js';
import { RecordingMetrics } from '../support/fakes/recording-metrics.js';
import { settle } from '../support/fakes/settle.js';
import { event, position, reading, ScriptedHistory } from './history-fakes.js';

const LEASE_MS = 3_000;
/** An event that the caches fail to apply. */
const BROKEN = 13n;

let clock: FakeClock;
let timers: FakeTimers;
let history: ScriptedHistory;
let metrics: RecordingMetrics;
let told: string[];
let warnings: unknown[];
let driver: LeaseDriver;

beforeEach(() => {
  clock = new FakeClock();
  timers = new FakeTimers(clock);
  history = new ScriptedHistory();
  metrics = new RecordingMetrics();
  told = [];
  warnings = [];
  let ids = 0;
  driver = new LeaseDriver({
    options: { leaseMs: LEASE_MS, lossMs: 0, nextId: () => `id-${++ids}`, random: () => 1, readLimit: 100 },
    history,
    caches: {
      apply: ({ sequence }) => {
        if (sequence === BROKEN) throw new Error('a watcher broke');
        told.push(`apply ${sequence} after ${history.count('acknowledge')} acknowledgements`);
      },
      forgetAll: () => void told.push('forget all'),
    },
    clock,
    timers,
    metrics,
    logger: { ...silentLogger, warn: (_, fields) => warnings.push(fields) },
  });
});

async function answer(method: Parameters<ScriptedHistory['last']>[0], value?: unknown): Promise<void> {
  history.last(method).resolve(value);
  await settle();
}

async function lease(): Promise<void> {
  driver.start();
  await answer('register');
  await answer('readHistory', reading(null, 5));
  await answer('acknowledge', true);
}

describe('the driver', () => {
  it('warns with what the database said, not only that it failed', async () => {
    driver.start();
    history.last('register').reject();
    await settle();
    expect(warnings).toEqual([expect.objectContaining({ outcome: 'failed', error: expect.any(Error) })]);
  });

  it('holds a lease once registration and reading were answered, and says so', async () => {
    driver.start();
    expect(driver.held()).toBe(NO_LEASE);
    await answer('register');
    expect(history.last('readHistory').args).toEqual([null, 100]);
    await answer('readHistory', reading(null, 5));
    await driver.leased;
    expect(driver.held()).not.toBe(NO_LEASE);
    expect(driver.sidecarId).toBe('id-1');
    expect(history.last('acknowledge').args).toEqual(['id-1', position(5)]);
    expect(metrics.of('renewal')).toEqual([['renewed']]);
  });

  it('renews when its timer fires, and tells the caches before it acknowledges', async () => {
    await lease();
    timers.advance(LEASE_MS / 3);
    expect(history.last('renew').args).toMatchObject([{ sidecarId: 'id-1', attempt: 2, position: position(5) }]);
    await answer('renew', true);
    clock.advance(LEASE_MS - LEASE_MS / 3 - sidecarMarginMs(LEASE_MS));
    expect(driver.held()).toBe(NO_LEASE);
    await answer('readHistory', reading(5, 7));
    expect(told).toEqual(['apply 6 after 1 acknowledgements', 'apply 7 after 1 acknowledgements']);
    expect(history.last('acknowledge').args).toEqual(['id-1', position(7)]);
    expect(driver.held()).not.toBe(NO_LEASE);
  });

  it('loses the lease by the clock alone, with every timer late', async () => {
    await lease();
    clock.advance(LEASE_MS);
    expect(driver.held()).toBe(NO_LEASE);
  });

  it('renews at once, not at the next timer, when the clock ended the lease', async () => {
    await lease();
    clock.stepWall(3_600_000);
    expect(driver.held()).toBe(NO_LEASE);
    timers.advance(1);
    expect(history.count('renew')).toBe(1);
  });

  it('reads the wall clock before the monotonic one when it begins, and after it when it looks', async () => {
    const order: string[] = [];
    const monotonicMs = clock.monotonicMs.bind(clock);
    const wallMs = clock.wallMs.bind(clock);
    clock.monotonicMs = () => {
      order.push('monotonic');
      return monotonicMs();
    };
    clock.wallMs = () => {
      order.push('wall');
      return wallMs();
    };
    driver.start();
    expect(order.slice(0, 2)).toEqual(['wall', 'monotonic']);
    order.length = 0;
    driver.held();
    expect(order.slice(0, 2)).toEqual(['monotonic', 'wall']);
  });

  it('keeps trying while calls fail, and holds a lease when they work again', async () => {
    driver.start();
    for (let i = 0; i < 3; i++) {
      history.last('register').reject();
      await settle();
      timers.advance(LEASE_MS / 3);
    }
    expect(history.count('register')).toBe(4);
    expect(metrics.of('renewal')).toEqual([['failed'], ['failed'], ['failed']]);
    await answer('register');
    await answer('readHistory', reading(null, 5));
    expect(driver.held()).not.toBe(NO_LEASE);
    expect(history.count('deregister')).toBe(3);
  });

  it('gives up an attempt that nobody answers after a lease', async () => {
    driver.start();
    timers.advance(LEASE_MS);
    expect(metrics.of('renewal')).toEqual([['failed']]);
  });

  it('reads when it is hinted, once for any number of hints', async () => {
    await lease();
    for (let i = 0; i < 5; i++) driver.hint();
    expect(history.count('readHistory')).toBe(2);
    await answer('readHistory', reading(5, 6));
    expect(told).toEqual(['apply 6 after 1 acknowledgements']);
    expect(history.last('acknowledge').args).toEqual(['id-1', position(6)]);
    expect(history.count('readHistory')).toBe(3);
  });

  it('does not react to hints before it has started', () => {
    driver.hint();
    expect(history.calls).toEqual([]);
  });

  it('starts over with empty caches when its row is gone', async () => {
    await lease();
    timers.advance(LEASE_MS / 3);
    await answer('renew', false);
    expect(told).toEqual(['forget all']);
    expect(driver.held()).toBe(NO_LEASE);
    expect(driver.sidecarId).toBe('');
    timers.advance(LEASE_MS / 3);
    expect(history.last('register').args).toMatchObject([{ sidecarId: 'id-2' }]);
  });

  it('measures how long revocations took to be applied, by the database’s clock', async () => {
    await lease();
    driver.hint();
    const events = [event(6), event(7, 'key-created')];
    await answer('readHistory', reading(5, 7, { events, databaseNowMs: 6_250 }));
    expect(metrics.of('revocationApplied')).toEqual([[0.25]]);
  });

  it('reports how old its oldest possible answer is: nothing without a lease', async () => {
    const gauge = () => metrics.lease?.();
    expect(gauge()).toEqual({ valid: false, appliedSequence: -1n, stalenessBoundSeconds: 0 });
    await lease();
    clock.advance(500);
    expect(gauge()).toEqual({ valid: true, appliedSequence: 5n, stalenessBoundSeconds: 0.5 });
    clock.advance(LEASE_MS);
    expect(gauge()).toEqual({ valid: false, appliedSequence: 5n, stalenessBoundSeconds: 0 });
  });

  it('answers from memory no more when the caches fail to apply an event', async () => {
    await lease();
    const unhandled: unknown[] = [];
    const listeners = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    process.on('unhandledRejection', (error) => unhandled.push(error));
    try {
      driver.hint();
      await answer('readHistory', reading(5, 13));
      await settle();
    } finally {
      process.removeAllListeners('unhandledRejection');
      for (const listener of listeners) process.on('unhandledRejection', listener);
    }
    expect(unhandled).toMatchObject([{ message: 'a watcher broke' }]);
    expect(driver.held()).toBe(NO_LEASE);
    timers.advance(10 * LEASE_MS);
    expect(history.count('renew')).toBe(0);
  });

  it('gives up the lease before it deletes its row, waits for that, and leaves no timer', async () => {
    await lease();
    let stopped = false;
    const stopping = driver.stop().then(() => {
      stopped = true;
    });
    expect(driver.held()).toBe(NO_LEASE);
    expect(told).toEqual(['forget all']);
    expect(history.last('deregister').args).toEqual(['id-1']);
    await settle();
    expect(stopped).toBe(false);
    history.last('deregister').reject();
    await stopping;
    expect(timers.pending).toBe(0);
    await driver.stop();
    expect(history.count('deregister')).toBe(1);
  });

  it('sets no timer when it is asked after its stop', async () => {
    await lease();
    const stopping = driver.stop();
    history.last('deregister').resolve();
    await stopping;
    driver.held();
    expect(timers.pending).toBe(0);
  });
});
