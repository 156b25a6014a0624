import type { Agenda } from './agenda.js';
import type { ModelClock } from './model-clock.js';

/** An operating system process: may be stopped, go on, and be killed; while it is stopped what arrives is kept. */
export class ModelProcess {
  private state: 'running' | 'stopped' | 'dead' = 'running';
  private stops = 0;
  private waiting: (() => void)[] = [];

  constructor(
    readonly name: string,
    private readonly agenda: Agenda,
    readonly clock: ModelClock,
  ) {}

  get alive(): boolean {
    return this.state !== 'dead';
  }

  get running(): boolean {
    return this.state === 'running';
  }

  /** Lets the process react: now, when it goes on, or never. */
  deliver(run: () => void): void {
    if (this.state === 'running') run();
    else if (this.state === 'stopped') this.waiting.push(run);
  }

  /** Calls `run` in the process once its monotonic clock shows `dueMs`. */
  at(dueMs: number, run: () => void): void {
    this.agenda.after(this.clock.trueMsUntil(dueMs), () =>
      this.deliver(() => {
        // A sleep of the machine has moved the instant.
        if (this.clock.monotonicMs() < dueMs - 1e-6) this.at(dueMs, run);
        else run();
      }),
    );
  }

  after(delayMs: number, run: () => void): void {
    this.at(this.clock.monotonicMs() + delayMs, run);
  }

  /** SIGSTOP; `asleep`: the whole machine is suspended. Stops may overlap. */
  stop(trueMs: number, asleep: boolean): void {
    if (!this.alive) return;
    // One machine cannot fall asleep twice.
    const sleeps = asleep && this.stops === 0;
    this.stops += 1;
    this.state = 'stopped';
    this.agenda.after(trueMs, () => {
      if (sleeps) this.clock.slept(trueMs);
      this.stops -= 1;
      if (this.stops === 0 && this.alive) this.goOn();
    });
  }

  kill(): void {
    this.state = 'dead';
    this.waiting = [];
  }

  private goOn(): void {
    this.state = 'running';
    const { waiting } = this;
    this.waiting = [];
    // In order, but each as a step of its own.
    for (const run of waiting) this.agenda.after(0, () => this.deliver(run));
  }
}
