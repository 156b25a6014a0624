import { ALL_PROTECTIONS, type Protections } from '../../src/ports/protections.js';
import type { Violation } from './check.js';
import { type Counts, runSchedule } from './run-schedule.js';

/** The name of a protection, as in {@link Protections}. */
export type ProtectionName = keyof Protections;

/** Every protection that can be switched off. */
export const PROTECTION_NAMES = Object.keys(ALL_PROTECTIONS) as readonly ProtectionName[];

/** A row of neighbouring seeds to play. */
export interface SeedRange {
  readonly from: number;
  readonly count: number;
  /** The one protection that is off, or `null`. */
  readonly without: ProtectionName | null;
  /** Do not go on after the first schedule in which R1 was broken. */
  readonly untilStale: boolean;
}

/** A schedule in which a promise was broken. */
export interface Failing {
  readonly seed: number;
  readonly violations: readonly Violation[];
}

/** What came of a range. */
export interface SeedsResult {
  readonly counts: Counts;
  readonly failing: readonly Failing[];
}

/** The protections with one of them off. */
export function protectionsWithout(name: ProtectionName | null): Protections {
  return name === null ? ALL_PROTECTIONS : { ...ALL_PROTECTIONS, [name]: false };
}

/** Plays every seed of a range, in order. */
export async function runSeeds({ from, count, without, untilStale }: SeedRange): Promise<SeedsResult> {
  const protections = protectionsWithout(without);
  const counts: Counts = {};
  const failing: Failing[] = [];
  for (let seed = from; seed < from + count; seed++) {
    const result = await runSchedule(seed, protections);
    addCounts(counts, result.counts);
    if (result.violations.length === 0) continue;
    failing.push({ seed, violations: result.violations });
    if (untilStale && isStale(failing.at(-1))) break;
  }
  return { counts, failing };
}

/** Adds `more` to `sum`, in place. */
export function addCounts(sum: Counts, more: Counts): void {
  for (const [name, by] of Object.entries(more)) sum[name] = (sum[name] ?? 0) + by;
}

/** Whether a revoked key was granted. */
export function isStale(failing: Failing | undefined): boolean {
  return failing?.violations.some(({ rule }) => rule === 'R1') ?? false;
}
