import { performance } from 'node:perf_hooks';
import type { Clock } from '../ports/clock.js';

/** The clocks of the operating system, read anew at every call: `CLOCK_MONOTONIC` and `CLOCK_REALTIME`. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
};
