import { systemClock } from '../../src/observability/system-clock.js';
import { pause } from './pause.js';
import type { RawGrpcClient } from './raw-grpc-client.js';

/** What to ask. */
export interface AskPlan {
  readonly clients: readonly RawGrpcClient[];
  readonly path: string;
  /** Message number `index`. */
  readonly message: (index: number) => Buffer;
  /** Most calls under way at once, over all connections. */
  readonly inFlight: number;
  /** Calls a second in all; absent: as fast as they are answered. */
  readonly perSecond?: number;
  /** Sees every answer; `null`: ended without one. */
  readonly onAnswer?: (answer: Buffer | null, index: number, latencyMs: number) => void;
}

/** Asks until it is stopped, from this process. */
export class Asker {
  /** Answers so far. */
  answered = 0;
  /** Calls that ended without an answer. */
  unanswered = 0;
  private asked = 0;
  private stopped = false;
  private readonly workers: Promise<void>[] = [];
  private readonly startedMs = systemClock.monotonicMs();

  constructor(private readonly plan: AskPlan) {
    for (let worker = 0; worker < plan.inFlight; worker++) this.workers.push(this.work(worker));
  }

  /** Ends the asking; resolves with the calls a second that were answered. */
  async stop(): Promise<number> {
    this.stopped = true;
    const seconds = (systemClock.monotonicMs() - this.startedMs) / 1000;
    const { answered } = this;
    await Promise.all(this.workers);
    return answered / seconds;
  }

  private async work(worker: number): Promise<void> {
    const { clients, path, message, onAnswer, perSecond } = this.plan;
    const client = clients[worker % clients.length] as RawGrpcClient;
    while (!this.stopped) {
      const index = this.asked++;
      const dueMs = perSecond === undefined ? 0 : this.startedMs + (index / perSecond) * 1000;
      const waitMs = dueMs - systemClock.monotonicMs();
      if (waitMs > 1) await pause(waitMs);
      if (this.stopped) return;
      // Late because no call was free, or because the timer was: counts as waiting.
      const sentMs =
        perSecond === undefined ? systemClock.monotonicMs() : Math.min(systemClock.monotonicMs(), dueMs + 1);
      const answer = await client.call(path, message(index));
      if (answer === null) this.unanswered++;
      this.answered++;
      onAnswer?.(answer, index, systemClock.monotonicMs() - sentMs);
    }
  }
}
