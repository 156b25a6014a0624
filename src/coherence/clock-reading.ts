/** Both clocks of one process, read together. */
export interface ClockReading {
  /** See `Clock.monotonicMs`. */
  readonly monotonicMs: number;
  /** See `Clock.wallMs`. */
  readonly wallMs: number;
}
