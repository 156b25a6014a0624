import { PRUNE_EVENTS } from './queries.js';
import { bigintOf } from './rows.js';
import type { QueryRunner } from './run-query.js';

/** How long events are kept, in ms: watchers may resume within it, and sidecars that slept need not start over. */
export const EVENTS_KEPT_MS = 48 * 3_600_000;

/** Most events that one statement deletes, so that none runs long. */
const BATCH = 10_000;

/**
 * Deletes events that were superseded more than `keepMs` ago (a day at least, whatever is asked) and returns how many.
 * Safe to run from every sidecar, at any time. Rejects with a `Failure`.
 */
export async function pruneEvents(runner: QueryRunner, keepMs: number = EVENTS_KEPT_MS): Promise<number> {
  let total = 0;
  for (;;) {
    const [row] = await runner.run(PRUNE_EVENTS, [keepMs, BATCH]);
    const deleted = row === undefined ? 0 : Number(bigintOf(row, 'deleted'));
    total += deleted;
    if (deleted < BATCH) return total;
  }
}
