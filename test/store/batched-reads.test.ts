import { describe, expect, it } from 'vitest';
import { Failure } from '../../src/domain/failure.js';
import { BULK_READ_MAX, type BulkSource } from '../../src/ports/bulk-source.js';
import type { SingleRead } from '../../src/ports/single-reads.js';
import { BatchedReads, type BatchedReadsOptions, FLOOD_WINDOW_MS } from '../../src/store/batched-reads.js';
import { FakeClock } from '../support/fakes/fake-clock.js';
import { FakeTimers } from '../support/fakes/fake-timers.js';
import { RecordingMetrics } from '../support/fakes/recording-metrics.js';
import { ScriptedSource, type Statement } from '../support/fakes/scripted-source.js';
import { settle } from '../support/fakes/settle.js';

function setUp(options: BatchedReadsOptions = {}) {
  const timers = new FakeTimers(new FakeClock());
  const metrics = new RecordingMetrics();
  const source = new ScriptedSource<number, string>();
  const reads = new BatchedReads<number, string>({ source, name: 'keys', metrics, timers }, options);
  return { timers, metrics, source, reads };
}

const numbers = (count: number, from = 0): number[] => Array.from({ length: count }, (_, index) => from + index);
const echo = (statement: Statement<number, string> | undefined): void =>
  statement?.answer(statement.keys.map((key) => (key % 2 === 0 ? `v${key}` : null)));

describe('BatchedReads', () => {
  it('gathers the reads of one turn into one statement and gives each its own answer', async () => {
    const { reads, source } = setUp();
    const values = Promise.all([1, 2, 3].map((key) => reads.read(key).value));
    await settle();
    expect(source.asked).toEqual([[1, 2, 3]]);
    echo(source.open[0]);
    expect(await values).toEqual([null, 'v2', null]);
  });

  it('says that a read may have been sent from the moment its statement is asked for, not before', async () => {
    const sentAtCall: boolean[] = [];
    const begun: SingleRead<string>[] = [];
    const source: BulkSource<number, string> = {
      async readMany(keys) {
        sentAtCall.push(...begun.map((read) => read.sent));
        return keys.map(() => null);
      },
    };
    const timers = new FakeTimers(new FakeClock());
    const reads = new BatchedReads({ source, name: 'keys', metrics: new RecordingMetrics(), timers });
    begun.push(reads.read(1));
    expect(begun[0]?.sent).toBe(false);
    await settle();
    expect(sentAtCall).toEqual([true]);
  });

  it('has at most four statements in flight; later reads wait and share the next one', async () => {
    const { reads, source } = setUp();
    for (const key of numbers(4)) {
      reads.read(key);
      await settle();
    }
    const late = [10, 11, 12].map((key) => reads.read(key));
    await settle();
    expect(source.open).toHaveLength(4);
    expect(late.every((read) => !read.sent)).toBe(true);
    echo(source.open[0]);
    await settle();
    expect(source.asked.at(-1)).toEqual([10, 11, 12]);
  });

  it(`asks for at most ${BULK_READ_MAX} keys in one statement, in the order of the reads`, async () => {
    const { reads, source } = setUp();
    for (const key of numbers(2 * BULK_READ_MAX + 1)) reads.read(key);
    await settle();
    expect(source.asked.map((keys) => keys.length)).toEqual([BULK_READ_MAX, BULK_READ_MAX, 1]);
    expect(source.asked.flat()).toEqual(numbers(2 * BULK_READ_MAX + 1));
  });

  it('mentions a key once in a statement and answers every read of it', async () => {
    const { reads, source } = setUp();
    const values = Promise.all([2, 3, 2].map((key) => reads.read(key).value));
    await settle();
    expect(source.asked).toEqual([[2, 3]]);
    echo(source.open[0]);
    expect(await values).toEqual(['v2', null, 'v2']);
  });

  it('sheds a read past the bound on waiting ones, and takes reads again once some were sent', async () => {
    const { reads, source, metrics } = setUp({ maxWaiting: 3, maxStatements: 1 });
    for (const key of [1, 2, 3]) reads.read(key);
    expect(() => reads.read(4)).toThrow(expect.objectContaining({ kind: 'overloaded' }));
    expect(metrics.of('loadShed')).toEqual([['keys']]);
    await settle();
    expect(() => reads.read(4)).not.toThrow();
    expect(source.asked).toEqual([[1, 2, 3]]);
  });

  it('rejects every reader of a failed statement with its failure, and goes on', async () => {
    const { reads, source } = setUp({ maxStatements: 1 });
    const failed = [1, 2].map((key) => reads.read(key).value);
    await settle();
    const next = reads.read(4).value;
    source.open[0]?.fail(new Failure('unavailable', 'No database.'));
    for (const value of failed) await expect(value).rejects.toMatchObject({ kind: 'unavailable' });
    await settle();
    echo(source.open[0]);
    expect(await next).toBe('v4');
  });

  it('takes an answer of the wrong length for a failure, not for absence', async () => {
    const { reads, source } = setUp();
    const value = reads.read(2).value;
    await settle();
    source.open[0]?.answer([]);
    await expect(value).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('ends a read at its deadline while its statement is stuck, and ignores the late answer', async () => {
    const { reads, source, timers } = setUp();
    const value = reads.read(2).value;
    await settle();
    timers.advance(1999);
    const later = reads.read(4).value;
    await settle();
    timers.advance(1);
    await expect(value).rejects.toMatchObject({ kind: 'deadline-exceeded' });
    echo(source.open[0]);
    echo(source.open[0]);
    expect(await later).toBe('v4');
  });

  it('counts the time spent waiting towards the deadline, and never sends a read that nobody waits for', async () => {
    const { reads, source, timers } = setUp({ maxStatements: 1 });
    reads.read(1);
    await settle();
    const waiting = reads.read(3).value;
    await settle();
    timers.advance(2000);
    await expect(waiting).rejects.toMatchObject({ kind: 'deadline-exceeded' });
    reads.read(5);
    echo(source.open[0]);
    await settle();
    expect(source.asked).toEqual([[1], [5]]);
  });

  it('keeps the place of a stuck statement, so that the database never has more than its share', async () => {
    const { reads, source, timers } = setUp({ maxStatements: 1 });
    reads.read(1);
    await settle();
    timers.advance(2000);
    reads.read(3);
    await settle();
    expect(source.asked).toEqual([[1]]);
  });

  it('leaves no timer behind once everything is answered', async () => {
    const { reads, source, timers } = setUp();
    for (const key of [1, 2]) reads.read(key);
    await settle();
    expect(timers.pending).toBe(1);
    echo(source.open[0]);
    await settle();
    timers.advance(FLOOD_WINDOW_MS);
    expect(timers.pending).toBe(0);
  });
});
