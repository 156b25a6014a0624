import { describe, expect, it } from 'vitest';
import { Failure } from '../../src/domain/failure.js';
import type { KeyUse, UsageSink } from '../../src/ports/key-usage.js';
import { silentLogger } from '../../src/ports/logger.js';
import { CoalescingUsageRecorder, type UsageRecorderOptions } from '../../src/service/usage-recorder.js';
import { FakeClock } from '../support/fakes/fake-clock.js';
import { FakeTimers } from '../support/fakes/fake-timers.js';
import { RecordingMetrics } from '../support/fakes/recording-metrics.js';
import { settle } from '../support/fakes/settle.js';

/** A sink whose every write waits for the test. */
class ScriptedSink implements UsageSink {
  readonly writes: { readonly uses: readonly KeyUse[]; readonly succeed: () => void; readonly fail: () => void }[] = [];

  write(uses: readonly KeyUse[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.writes.push({ uses, succeed: resolve, fail: () => reject(new Failure('unavailable', 'No database.')) });
    });
  }

  rows(write: number): (readonly [string, number])[] {
    return (this.writes[write]?.uses ?? []).map(({ keyId, atMs }) => [keyId, atMs] as const);
  }
}

function setUp(options: UsageRecorderOptions = {}) {
  const clock = new FakeClock();
  const timers = new FakeTimers(clock);
  const metrics = new RecordingMetrics();
  const sink = new ScriptedSink();
  const recorder = new CoalescingUsageRecorder({ sink, clock, timers, metrics, logger: silentLogger }, options);
  return { timers, metrics, sink, recorder };
}

describe('the usage recorder', () => {
  it('writes one row a key with its latest time, sorted by key', async () => {
    const { recorder, sink } = setUp();
    recorder.record('b', 10);
    recorder.record('a', 11);
    recorder.record('b', 12);
    recorder.record('b', 9);
    const flushed = recorder.flush();
    expect(sink.rows(0)).toEqual([
      ['a', 11],
      ['b', 12],
    ]);
    sink.writes[0]?.succeed();
    await flushed;
    await recorder.flush();
    expect(sink.writes).toHaveLength(1);
  });

  it('flushes every five seconds once started, counted from the end of the last flush', async () => {
    const { recorder, sink, timers } = setUp();
    recorder.start();
    recorder.record('a', 1);
    timers.advance(4999);
    expect(sink.writes).toHaveLength(0);
    timers.advance(1);
    expect(sink.writes).toHaveLength(1);
    recorder.record('a', 2);
    timers.advance(60_000);
    expect(sink.writes).toHaveLength(1);
    sink.writes[0]?.succeed();
    await settle();
    timers.advance(5000);
    expect(sink.rows(1)).toEqual([['a', 2]]);
  });

  it('writes large numbers of keys in several statements, one after the other', async () => {
    const { recorder, sink, metrics } = setUp({ maxRows: 2 });
    for (const key of ['c', 'e', 'a', 'd', 'b']) recorder.record(key, 1);
    const flushed = recorder.flush();
    for (let write = 0; write < 3; write++) {
      expect(sink.writes).toHaveLength(write + 1);
      sink.writes[write]?.succeed();
      await settle();
    }
    await flushed;
    expect(sink.writes.map(({ uses }) => uses.map(({ keyId }) => keyId))).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
    expect(metrics.of('usageFlushed').map(([rows, , outcome]) => [rows, outcome])).toEqual([
      [2, 'ok'],
      [2, 'ok'],
      [1, 'ok'],
    ]);
  });

  it('keeps what could not be written, with later uses of the same keys, and tries again', async () => {
    const { recorder, sink, metrics } = setUp({ maxRows: 2 });
    for (const key of ['a', 'b', 'c', 'd']) recorder.record(key, 1);
    const flushed = recorder.flush();
    sink.writes[0]?.succeed();
    await settle();
    recorder.record('c', 5);
    sink.writes[1]?.fail();
    await flushed;
    expect(metrics.of('usageFlushed').at(-1)?.[2]).toBe('unavailable');
    void recorder.flush();
    expect(sink.rows(2)).toEqual([
      ['c', 5],
      ['d', 1],
    ]);
  });

  it('never moves a time backwards when an older use comes back from a failed write', async () => {
    const { recorder, sink } = setUp();
    recorder.record('a', 9);
    const flushed = recorder.flush();
    recorder.record('a', 3);
    sink.writes[0]?.fail();
    await flushed;
    void recorder.flush();
    expect(sink.rows(1)).toEqual([['a', 9]]);
  });

  it('never runs two flushes at once', async () => {
    const { recorder, sink } = setUp();
    recorder.record('a', 1);
    const first = recorder.flush();
    recorder.record('b', 1);
    expect(recorder.flush()).toBe(first);
    expect(sink.writes).toHaveLength(1);
  });

  it('drops the keys that have waited longest past its bound, and counts them', async () => {
    const { recorder, sink, metrics } = setUp({ maxQueued: 2 });
    for (const key of ['x', 'y', 'z']) recorder.record(key, 1);
    expect(metrics.queuedUses?.()).toBe(2);
    expect(metrics.of('usageDropped')).toEqual([[1]]);
    void recorder.flush();
    expect(sink.rows(0).map(([key]) => key)).toEqual(['y', 'z']);
  });

  it('keeps its bound when a failed write comes back', async () => {
    const { recorder, sink, metrics } = setUp({ maxQueued: 2 });
    recorder.record('a', 1);
    recorder.record('b', 1);
    const flushed = recorder.flush();
    recorder.record('c', 1);
    recorder.record('d', 1);
    sink.writes[0]?.fail();
    await flushed;
    expect(metrics.queuedUses?.()).toBe(2);
    void recorder.flush();
    expect(sink.rows(1).map(([key]) => key)).toEqual(['c', 'd']);
  });

  it('writes everything when it stops, also what was recorded during the last flush', async () => {
    const { recorder, sink, timers } = setUp();
    recorder.start();
    recorder.record('a', 1);
    timers.advance(5000);
    recorder.record('b', 2);
    const stopped = recorder.stop();
    sink.writes[0]?.succeed();
    await settle();
    expect(sink.rows(1)).toEqual([['b', 2]]);
    sink.writes[1]?.succeed();
    await stopped;
    expect(timers.pending).toBe(0);
  });

  it('stops also when the database does not take the last uses', async () => {
    const { recorder, sink } = setUp();
    recorder.record('a', 1);
    const stopped = recorder.stop();
    await settle();
    sink.writes[0]?.fail();
    await expect(stopped).resolves.toBeUndefined();
  });
});
