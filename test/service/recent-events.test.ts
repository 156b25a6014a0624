import { describe, expect, it } from 'vitest';
import { RecentEvents } from '../../src/service/recent-events.js';
import { historyEvent } from '../support/fakes/builders.js';

const event = (sequence: bigint, token = 't') => historyEvent('key-revoked', { sequence, token });

function filled(capacity: number, ...sequences: bigint[]): RecentEvents {
  const recent = new RecentEvents(capacity);
  for (const sequence of sequences) recent.add(event(sequence));
  return recent;
}

/** Which of the sequences 1 to 20 are kept. */
const kept = (recent: RecentEvents) =>
  Array.from({ length: 20 }, (_, i) => BigInt(i + 1)).filter((sequence) => recent.get(sequence)?.sequence === sequence);

describe('recent events', () => {
  it('keep the newest up to their number', () => {
    const recent = filled(3, 5n, 6n, 7n, 8n, 9n);
    expect(kept(recent)).toEqual([7n, 8n, 9n]);
    expect(recent.last?.sequence).toBe(9n);
  });

  it('keep nothing from before a gap', () => {
    const recent = filled(10, 5n, 6n, 9n);
    expect(kept(recent)).toEqual([9n]);
    expect(recent.isBefore(6n)).toBe(true);
  });

  it('keep the first of two events with one sequence', () => {
    const recent = filled(10, 5n, 6n);
    recent.add(event(5n, 'other'));
    recent.add(event(6n, 'other'));
    expect(kept(recent)).toEqual([5n, 6n]);
    expect([recent.get(5n)?.token, recent.get(6n)?.token, recent.last?.token]).toEqual(['t', 't', 't']);
  });

  it('tell what has fallen out from what has not come yet', () => {
    const recent = filled(3, 5n, 6n, 7n, 8n);
    expect([4n, 5n, 6n, 8n].map((sequence) => recent.isBefore(sequence))).toEqual([true, false, false, false]);
    expect(new RecentEvents(3).isBefore(0n)).toBe(false);
  });

  it('forget everything when told to', () => {
    const recent = filled(3, 5n, 6n);
    recent.clear();
    expect([kept(recent), recent.last]).toEqual([[], null]);
    recent.add(event(6n, 'again'));
    expect(recent.get(6n)?.token).toBe('again');
  });
});
