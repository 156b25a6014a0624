/** The two clocks of this process. Nothing else in the code reads time. */
export interface Clock {
  /** Milliseconds, with fractions, of a clock that never steps (`CLOCK_MONOTONIC`). Origin unspecified. */
  monotonicMs(): number;
  /** Milliseconds since the Unix epoch by the system's clock, which may step either way. */
  wallMs(): number;
}

/** Stops a timer; calling it again, or after it fired, does nothing. */
export type CancelTimer = () => void;

/** One-shot timers. They only prompt work: no correctness may rest on when, or whether, one fires. */
export interface Timers {
  /** Calls `run` once, not before `delayMs`. A timer never keeps the process alive. */
  after(delayMs: number, run: () => void): CancelTimer;
}
