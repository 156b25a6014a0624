import type { CancelTimer, Timers } from '../ports/clock.js';

/** Longest delay, in ms, that `setTimeout` honours; a longer one would fire at once. */
const DELAY_MAX_MS = 2 ** 31 - 1;

/** Timers of the event loop, unreferenced: none of them keeps the process alive. */
export const systemTimers: Timers = { after };

function after(delayMs: number, run: () => void): CancelTimer {
  let timer: NodeJS.Timeout;
  const arm = (leftMs: number): void => {
    const stepMs = Math.min(leftMs, DELAY_MAX_MS);
    timer = setTimeout(() => (leftMs > stepMs ? arm(leftMs - stepMs) : run()), stepMs);
    timer.unref();
  };
  arm(Math.max(delayMs, 0));
  return () => clearTimeout(timer);
}

/** Longest that Node sleeps for {@link keepAlive}, in ms. */
const KEEP_ALIVE_MS = 2 ** 30;

/** Keeps the process alive until it exits: unreferenced timers and idle connections do not. */
export function keepAlive(): void {
  setInterval(() => {}, KEEP_ALIVE_MS);
}
