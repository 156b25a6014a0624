import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SecondChanceMap } from '../../src/store/second-chance-map.js';

function setUp(max: number, stamped = false) {
  let evicted = 0;
  const map = new SecondChanceMap<number>(max, () => evicted++, stamped);
  return { map, evictions: () => evicted };
}

describe('a second-chance map', () => {
  it('makes room by forgetting the oldest entry that was not used', () => {
    const { map, evictions } = setUp(3);
    for (const key of ['a', 'b', 'c']) map.set(key, 1);
    map.get('a');
    map.set('d', 1);
    expect(['a', 'b', 'c', 'd'].map((key) => map.get(key))).toEqual([1, undefined, 1, 1]);
    expect(evictions()).toBe(1);
  });

  it('makes room also when every entry was used', () => {
    const { map } = setUp(2);
    map.set('a', 1);
    map.set('b', 1);
    map.get('a');
    map.get('b');
    map.set('c', 1);
    expect(map.size).toBe(2);
    expect(map.get('c')).toBe(1);
  });

  it('keeps what is used through a flood of what is not', () => {
    const { map } = setUp(10);
    map.set('kept', 7);
    for (let i = 0; i < 1000; i++) {
      expect(map.get('kept')).toBe(7);
      map.set(`flood-${i}`, i);
    }
  });

  it('deletes what is too old when it is asked for, and counts no eviction for it', () => {
    const { map, evictions } = setUp(2, true);
    map.set('a', 1, 100);
    expect(map.get('a', 99)).toBe(1);
    expect(map.get('a', 100)).toBeUndefined();
    expect(map.size).toBe(0);
    expect(evictions()).toBe(0);
  });

  it.each([0, -1, 1.5, Number.NaN])('cannot hold %s entries', (max) => {
    expect(() => setUp(max)).toThrow(RangeError);
  });

  it('answers what was set last and not deleted since, or nothing, and never outgrows its bound', () => {
    const operation = fc.record({
      kind: fc.constantFrom('get', 'get', 'set', 'set', 'delete', 'clear'),
      key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
      value: fc.nat(9),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.array(operation, { size: 'max', maxLength: 100 }),
        (max, steps) => {
          const { map, evictions } = setUp(max);
          const model = new Map<string, number>();
          for (const { kind, key, value } of steps) {
            const sizeBefore = map.size;
            const evictedBefore = evictions();
            const known = map.get(key) !== undefined;
            if (kind === 'get') expect([undefined, model.get(key)]).toContain(map.get(key));
            else if (kind === 'set') {
              map.set(key, value);
              model.set(key, value);
              expect(map.get(key)).toBe(value);
              // Something makes room only for something new, and only in a full map.
              expect(evictions() - evictedBefore).toBe(!known && sizeBefore === max ? 1 : 0);
            } else if (kind === 'delete') {
              map.delete(key);
              model.delete(key);
              expect(map.get(key)).toBeUndefined();
            } else {
              map.clear();
              model.clear();
            }
            expect(map.size).toBeLessThanOrEqual(max);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
