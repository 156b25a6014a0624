import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judgeReading } from '../../src/coherence/judge-reading.js';
import type { HistoryReading } from '../../src/ports/history.js';
import { ALL_PROTECTIONS } from '../../src/ports/protections.js';
import { event, position, reading } from './history-fakes.js';

const at = (sequence: number, lineage: string | null = 'line-1') => ({ position: position(sequence), lineage });
const judge = (after: number, seen: HistoryReading, lineage?: string | null) =>
  judgeReading(at(after, lineage), seen, ALL_PROTECTIONS);

describe('a reading', () => {
  it('continues the history when it holds every event up to the head', () => {
    fc.assert(
      fc.property(fc.nat(50), fc.nat(50), (after, more) => {
        expect(judge(after, reading(after, after + more))).toBeNull();
      }),
    );
  });

  it('is another history when any one event is missing from it', () => {
    fc.assert(
      fc.property(fc.nat(50), fc.integer({ min: 1, max: 50 }), fc.nat(), (after, more, which) => {
        const seen = reading(after, after + more);
        const events = seen.events.filter((_, index) => index !== which % more);
        expect(judge(after, { ...seen, events })).toContain('gap');
      }),
    );
  });

  it('is judged by nobody who has applied nothing', () => {
    expect(judgeReading(null, reading(null, 7), ALL_PROTECTIONS)).toBeNull();
  });

  it.each<[string, HistoryReading, string]>([
    ['another token at the position', reading(3, 5, { tokenAtPosition: 'b3' }), 'another token'],
    ['no event at the position', reading(3, 5, { tokenAtPosition: null }), 'no longer kept'],
    ['a head before the position', reading(null, 2, { tokenAtPosition: null }), 'went back'],
    ['events in the wrong order', reading(3, 5, { events: [event(5), event(4)] }), 'gap'],
    ['a head that is not the last event', reading(3, 5, { head: position(5, 'b') }), 'at the head'],
    ['another lineage, numbers and tokens alike', reading(3, 3, { lineage: 'line-2' }), 'line of history'],
    ['more events than the limit', reading(3, 9, { events: [], overLimit: true }), 'too far behind'],
  ])('is another history with %s', (_what, seen, why) => {
    expect(judge(3, seen)).toContain(why);
  });

  it('is not judged by a lineage that either side cannot tell', () => {
    expect(judge(3, reading(3, 4, { lineage: null }))).toBeNull();
    expect(judge(3, reading(3, 4, { lineage: 'line-2' }), null)).toBeNull();
  });
});
