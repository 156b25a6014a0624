import { describe, expect, it } from 'vitest';
import { BatchedReads, FLOOD_WINDOW_MS } from '../../src/store/batched-reads.js';
import { FakeClock } from '../support/fakes/fake-clock.js';
import { FakeTimers } from '../support/fakes/fake-timers.js';
import { RecordingMetrics } from '../support/fakes/recording-metrics.js';
import { ScriptedSource } from '../support/fakes/scripted-source.js';
import { settle } from '../support/fakes/settle.js';

const GATHER_MS = 10;

function setUp() {
  const timers = new FakeTimers(new FakeClock());
  const source = new ScriptedSource<number, string>();
  const options = { floodFrom: 5, floodGatherMs: GATHER_MS };
  const reads = new BatchedReads<number, string>(
    { source, name: 'keys', metrics: new RecordingMetrics(), timers },
    options,
  );
  /** Reads so many keys and has all of them answered in this way. */
  const ask = async (count: number, value: string | null): Promise<void> => {
    for (let key = 0; key < count; key++) reads.read(key);
    await settle();
    // A copy: each answer takes its statement off the list.
    for (const statement of source.open.slice()) statement.answer(statement.keys.map(() => value));
    await settle();
  };
  const flood = async (): Promise<void> => {
    await ask(5, null);
    timers.advance(FLOOD_WINDOW_MS);
  };
  return { timers, source, reads, ask, flood };
}

describe('BatchedReads in a flood of things that do not exist', () => {
  it('gathers reads of several turns into one statement', async () => {
    const { reads, source, timers, flood } = setUp();
    await flood();
    const before = source.asked.length;
    for (const key of [10, 11, 12]) {
      reads.read(key);
      await settle();
    }
    expect(source.asked).toHaveLength(before);
    timers.advance(GATHER_MS);
    expect(source.asked.slice(before)).toEqual([[10, 11, 12]]);
  });

  it('does not send what is being gathered when another statement ends', async () => {
    const { reads, source, timers, flood } = setUp();
    await flood();
    reads.read(10);
    timers.advance(GATHER_MS);
    reads.read(11);
    source.open[0]?.answer([null]);
    await settle();
    expect(source.asked.at(-1)).toEqual([10]);
    timers.advance(GATHER_MS);
    expect(source.asked.at(-1)).toEqual([11]);
  });

  it('answers a real miss within the same gathering', async () => {
    const { reads, source, timers, flood } = setUp();
    await flood();
    const value = reads.read(10).value;
    timers.advance(GATHER_MS);
    source.open[0]?.answer(['found']);
    expect(await value).toBe('found');
  });

  it.each([
    ['too few things do not exist', 4, null],
    ['everything exists', 50, 'value'],
  ])('sends with the turn while %s', async (_, count, value) => {
    const { reads, source, timers, ask } = setUp();
    await ask(count, value);
    timers.advance(FLOOD_WINDOW_MS);
    reads.read(99);
    await settle();
    expect(source.asked.at(-1)).toEqual([99]);
  });

  it('sends with the turn again once the flood is over, whatever is asked then', async () => {
    const { reads, source, timers, flood } = setUp();
    await flood();
    timers.advance(FLOOD_WINDOW_MS);
    reads.read(99);
    await settle();
    expect(source.asked.at(-1)).toEqual([99]);
    expect(timers.pending).toBe(1);
  });

  it('goes on gathering while the flood goes on', async () => {
    const { reads, source, timers, flood } = setUp();
    await flood();
    for (const key of [10, 11, 12, 13, 14]) reads.read(key);
    timers.advance(GATHER_MS);
    source.open[0]?.answer([null, null, null, null, null]);
    await settle();
    timers.advance(FLOOD_WINDOW_MS - GATHER_MS);
    const before = source.asked.length;
    reads.read(99);
    await settle();
    expect(source.asked).toHaveLength(before);
  });
});
