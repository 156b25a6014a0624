import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runSchedule } from './run-schedule.js';
import { PROTECTION_NAMES, type ProtectionName, protectionsWithout, runSeeds } from './run-seeds.js';

const SCHEDULES = 2_000;
const ALL = protectionsWithout(null);

/** Written by `npm run sim -- --seeds 50000 --without all --json docs/simulation-switches.json`. */
const SWITCHES = JSON.parse(readFileSync(new URL('../../docs/simulation-switches.json', import.meta.url), 'utf8')) as {
  readonly protection: ProtectionName;
  readonly firstStale: number;
}[];

describe('the coherence protocol', () => {
  it(`keeps R1, R2 and R3 in ${SCHEDULES} schedules of faults`, async () => {
    const { counts, failing } = await runSeeds({ from: 1, count: SCHEDULES, without: null, untilStale: false });
    expect(failing).toEqual([]);
    // Schedules in which nothing happens would keep every promise.
    expect(counts.revocationsConfirmed).toBeGreaterThan(SCHEDULES);
    expect(counts.answersFromMemory).toBeGreaterThan(10 * SCHEDULES);
    for (const trouble of ['partition', 'stop', 'sleep', 'step', 'kill', 'database-restart', 'failover', 'restored']) {
      expect(counts[trouble], trouble).toBeGreaterThan(SCHEDULES / 20);
    }
  });

  it('has a switch for every protection in the recorded table', () => {
    expect(SWITCHES.map(({ protection }) => protection).sort()).toEqual([...PROTECTION_NAMES].sort());
  });

  it.each(SWITCHES)('grants a revoked key in schedule $firstStale when it lacks $protection', async (row) => {
    const { violations } = await runSchedule(row.firstStale, protectionsWithout(row.protection));
    expect(violations.map(({ rule }) => rule)).toContain('R1');
    expect((await runSchedule(row.firstStale, ALL)).violations).toEqual([]);
  });
});

describe('a schedule', () => {
  it.each([1, 163, 1172, 4_294_967_297])('plays the same way every time: seed %i', async (seed) => {
    const first = await runSchedule(seed, ALL, true);
    expect(first.trace.length).toBeGreaterThan(50);
    expect(await runSchedule(seed, ALL, true)).toEqual(first);
  });

  it('does not depend on being watched', async () => {
    const watched = await runSchedule(7, ALL, true);
    const unwatched = await runSchedule(7, ALL);
    expect(unwatched.counts).toEqual(watched.counts);
  });

  it('differs from its neighbours', async () => {
    const traces = await Promise.all(
      [10, 11, 12].map(async (seed) => (await runSchedule(seed, ALL, true)).trace.join()),
    );
    expect(new Set(traces).size).toBe(3);
  });
});
