/**
 * How long, in ms, to wait before trying again after so many failures in a row: a random time of up to
 * `baseMs` × 2^(failures − 1), at most `maxMs`. Random over the whole range, so that clients that failed together do not
 * come back together.
 */
export function backoffMs(failures: number, baseMs: number, maxMs: number): number {
  return Math.random() * Math.min(maxMs, baseMs * 2 ** Math.min(failures - 1, 30));
}
