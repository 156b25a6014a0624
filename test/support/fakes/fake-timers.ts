import type { CancelTimer, Timers } from '../../../src/ports/clock.js';
import type { FakeClock } from './fake-clock.js';

interface Entry {
  readonly dueMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Timers that fire when `advance` moves their clock past them, in the order in which they are due. */
export class FakeTimers implements Timers {
  private readonly entries = new Set<Entry>();
  private order = 0;

  constructor(private readonly clock: FakeClock) {}

  /** Timers neither fired nor cancelled. */
  get pending(): number {
    return this.entries.size;
  }

  after(delayMs: number, run: () => void): CancelTimer {
    const entry: Entry = { dueMs: this.clock.monotonicMs() + delayMs, order: this.order++, run };
    this.entries.add(entry);
    return () => void this.entries.delete(entry);
  }

  /** Moves the clock by `ms`, stopping at each timer that falls due on the way, timers set meanwhile included. */
  advance(ms: number): void {
    const untilMs = this.clock.monotonicMs() + ms;
    for (let next = this.next(untilMs); next !== null; next = this.next(untilMs)) {
      this.entries.delete(next);
      this.clock.advance(Math.max(0, next.dueMs - this.clock.monotonicMs()));
      next.run();
    }
    this.clock.advance(untilMs - this.clock.monotonicMs());
  }

  private next(untilMs: number): Entry | null {
    let first: Entry | null = null;
    for (const entry of this.entries) {
      if (entry.dueMs > untilMs) continue;
      if (first === null || entry.dueMs < first.dueMs || (entry.dueMs === first.dueMs && entry.order < first.order)) {
        first = entry;
      }
    }
    return first;
  }
}
