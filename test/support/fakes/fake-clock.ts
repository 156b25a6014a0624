import type { Clock } from '../../../src/ports/clock.js';

/** Both clocks, moved by hand. Begins at an arbitrary instant, so that nothing rests on zero. */
export class FakeClock implements Clock {
  constructor(
    private monotonic = 1_000_000,
    private wall = Date.UTC(2030, 0, 1),
  ) {}

  monotonicMs(): number {
    return this.monotonic;
  }

  wallMs(): number {
    return this.wall;
  }

  /** Moves both clocks. */
  advance(ms: number): void {
    this.monotonic += ms;
    this.wall += ms;
  }

  /** Moves the wall clock alone, as a step by an operator or a time daemon does. */
  stepWall(ms: number): void {
    this.wall += ms;
  }

  setWall(ms: number): void {
    this.wall = ms;
  }
}
