import { systemClock } from '../../src/observability/system-clock.js';

/** Longest wait for a condition, in ms: a bound for broken code, never a measurement. */
const WAIT_MAX_MS = 20_000;

/** Resolves when `condition` holds; rejects with what was waited for when it does not in time. */
export async function waitUntil(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = systemClock.monotonicMs() + WAIT_MAX_MS;
  while (!(await condition())) {
    if (systemClock.monotonicMs() > endMs) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}
