/** Identifies one lease that has been held without a lapse; {@link NO_LEASE} when none is. */
export type LeaseToken = number;

/** No lease: answer from the database. */
export const NO_LEASE: LeaseToken = 0;

/** The right to answer from memory. */
export interface Lease {
  /**
   * Reads both clocks, now, and returns the token of the lease that is valid at this instant, or {@link NO_LEASE}.
   *
   * Two calls that return the same non-zero token prove that the lease was valid at every instant between them.
   * Must be called after the request was received, for every decision: never cached, never a flag.
   */
  held(): LeaseToken;

  /**
   * As {@link held}, at readings of both clocks that the caller took in this turn, after the request was received; so
   * that a decision which needs the time anyway reads each clock once.
   */
  heldAt(monotonicMs: number, wallMs: number): LeaseToken;

  /**
   * As {@link held}, but for as much longer as `LATCHKEY_ON_DATABASE_LOSS=serve-cached:N` allows; the same as `held`
   * with `deny`. Only for a request that has no lease and whose read of the database failed with `unavailable` or
   * `deadline-exceeded`.
   */
  heldOnLoss(): LeaseToken;
}
