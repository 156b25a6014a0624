import type { CancelTimer, Timers } from '../../src/ports/clock.js';

/** Timers that fire when the test says so. */
export class ManualTimers implements Timers {
  private readonly pending: { readonly dueMs: number; readonly run: () => void }[] = [];
  private nowMs = 0;

  after(delayMs: number, run: () => void): CancelTimer {
    const timer = { dueMs: this.nowMs + delayMs, run };
    this.pending.push(timer);
    return () => {
      const at = this.pending.indexOf(timer);
      if (at >= 0) this.pending.splice(at, 1);
    };
  }

  /** How many timers are set. */
  get size(): number {
    return this.pending.length;
  }

  /** Lets time pass: fires what falls due, in order, and lets promises settle in between. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    await settle();
    for (;;) {
      const [next] = this.pending.filter(({ dueMs }) => dueMs <= untilMs).sort((a, b) => a.dueMs - b.dueMs);
      if (next === undefined) break;
      this.pending.splice(this.pending.indexOf(next), 1);
      this.nowMs = next.dueMs;
      next.run();
      await settle();
    }
    this.nowMs = untilMs;
  }
}

/** Lets every promise that can settle by itself settle. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
