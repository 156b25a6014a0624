/**
 * How far the rates of two clocks may differ before the guarantee is void, as a share of a lease: each side of the
 * protocol gives this much away. Two clocks that each run within 5 % of true time differ by at most
 * 1.05 / 0.95 = 1.1053; a lease shortened by 5 % then lasts at most 0.95 × 1.1053 = 1.05 leases of the revoker's clock,
 * which is exactly what a revoker that waits 5 % longer allows for.
 */
const RATE_SHARE = 0.05;

/** Coarseness of timers and clock readings that each side allows for, in ms. */
const TIMER_ERROR_MS = 20;

/**
 * Most that (wall − monotonic) may change during one lease, in ms, before the lease is given up.
 *
 * A suspend that stops the monotonic clock shows as a change of this difference, so whatever is tolerated here must be
 * given away in {@link sidecarMarginMs} too. Slewing (500 ppm) stays far below it.
 */
export const CLOCK_JUMP_TOLERANCE_MS = 50;

/** By how much a sidecar ends its lease early, in ms. */
export function sidecarMarginMs(leaseMs: number): number {
  return leaseMs * RATE_SHARE + TIMER_ERROR_MS + CLOCK_JUMP_TOLERANCE_MS;
}

/** By how much a revoker waits longer than the lease it read, in ms. */
export function revokerMarginMs(leaseMs: number): number {
  return leaseMs * RATE_SHARE + TIMER_ERROR_MS;
}
