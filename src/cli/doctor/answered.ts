import { systemTimers } from '../../observability/system-timers.js';
import { within } from '../../ports/within.js';

/** How long, in ms, one check may take. */
export const CHECK_MS = 5000;

/** Settles with `work`, or rejects after {@link CHECK_MS}. */
export function answered<T>(work: Promise<T>): Promise<T> {
  return within(systemTimers, CHECK_MS, work, () => {
    throw new Error(`no answer within ${CHECK_MS / 1000} s`);
  });
}
