import type { Timers } from './clock.js';

/**
 * Settles as `work` does, or after `limitMs` as `late` does, which may throw. `work` goes on, and its outcome is then
 * nobody's. Leaves no timer behind.
 */
export async function within<T, L>(timers: Timers, limitMs: number, work: Promise<T>, late: () => L): Promise<T | L> {
  let cancel = (): void => {};
  const limit = new Promise<'late'>((resolve) => {
    cancel = timers.after(limitMs, () => resolve('late'));
  });
  try {
    const first = await Promise.race([work.then((value) => ({ value })), limit]);
    return first === 'late' ? late() : first.value;
  } finally {
    cancel();
  }
}
