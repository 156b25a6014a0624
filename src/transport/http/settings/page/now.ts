/** The browser's wall clock, in ms since the Unix epoch. Only for what a person reads: nothing is decided by it. */
export function now(): number {
  return Date.now();
}
