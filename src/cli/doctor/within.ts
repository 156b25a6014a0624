import { systemTimers } from '../../observability/system-timers.js';

/** How long, in ms, one check may take. */
export const CHECK_MS = 5000;

/** Settles with `work`, or rejects after {@link CHECK_MS}. */
export async function within<T>(work: Promise<T>): Promise<T> {
  let cancel = (): void => {};
  const late = new Promise<never>((_, reject) => {
    cancel = systemTimers.after(CHECK_MS, () => reject(new Error(`no answer within ${CHECK_MS / 1000} s`)));
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    cancel();
  }
}
