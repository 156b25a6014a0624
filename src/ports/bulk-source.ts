/**
 * Reads many values at once from the primary database, in one statement.
 *
 * Contract:
 * - Answers are in the order of `keys`, `null` where nothing exists. An unparsable row counts as nothing.
 * - What it answers is at least as new as anything committed before the call (never a replica, never a cache).
 * - Rejects with a `Failure` (`unavailable`, `overloaded` or `deadline-exceeded`) within its own deadline; no driver
 *   error leaves it.
 * - At most {@link BULK_READ_MAX} keys a call, without duplicates.
 */
export interface BulkSource<K, V> {
  readMany(keys: readonly K[]): Promise<readonly (V | null)[]>;
}

/** Most keys one `readMany` may be given. */
export const BULK_READ_MAX = 1000;
