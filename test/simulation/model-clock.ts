import type { Clock } from '../../src/ports/clock.js';
import type { Agenda } from './agenda.js';

/** The two clocks of one machine: their rate is within 5 % of true time, and their origins mean nothing. */
export class ModelClock implements Clock {
  private suspendedMs = 0;
  private steppedMs = 0;

  constructor(
    private readonly agenda: Agenda,
    readonly rate: number,
    private readonly monotonicOriginMs: number,
    private readonly wallOriginMs: number,
  ) {}

  monotonicMs(): number {
    return this.monotonicOriginMs + (this.agenda.nowMs - this.suspendedMs) * this.rate;
  }

  wallMs(): number {
    return this.wallOriginMs + this.agenda.nowMs * this.rate + this.steppedMs;
  }

  /** Steps the wall clock. */
  step(byMs: number): void {
    this.steppedMs += byMs;
  }

  /** The machine slept until now for this long: the monotonic clock stood still and the wall clock went on. */
  slept(trueMs: number): void {
    this.suspendedMs += trueMs;
  }

  /** True time until the monotonic clock shows `monotonicMs`, if the machine does not sleep. */
  trueMsUntil(monotonicMs: number): number {
    return (monotonicMs - this.monotonicMs()) / this.rate;
  }
}
