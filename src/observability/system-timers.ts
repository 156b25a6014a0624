import type { Timers } from '../ports/clock.js';

/** Longest delay, in ms, that `setTimeout` honours; a longer one would fire at once. */
const DELAY_MAX_MS = 2 ** 31 - 1;

/** Timers of the event loop, unreferenced: none of them keeps the process alive. */
export const systemTimers: Timers = {
  after(delayMs, run) {
    const timer = setTimeout(run, Math.min(Math.max(delayMs, 0), DELAY_MAX_MS));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
