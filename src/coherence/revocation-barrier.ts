import { Failure } from '../domain/failure.js';
import type { Barrier, ConfirmedCommit, Receipt } from '../ports/barrier.js';
import type { Clock, Timers } from '../ports/clock.js';
import type { BarrierReading, History } from '../ports/history.js';
import type { Logger } from '../ports/logger.js';
import type { Metrics } from '../ports/metrics.js';
import { pause } from '../ports/pause.js';
import { ALL_PROTECTIONS, type Protections } from '../ports/protections.js';
import { within } from '../ports/within.js';
import { BarrierWait } from './barrier-wait.js';
import { SharedReadings } from './shared-readings.js';

/** What {@link RevocationBarrier} is made of. */
export interface RevocationBarrierParts {
  readonly history: History;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly protections?: Protections;
}

/** Delays between two looks at the rows, ms: acknowledgements take 2 to 5 ms, so the first looks are close together. */
const POLL_DELAYS_MS = [1, 1, 1, 2, 2, 4, 8, 16, 32] as const;
const POLL_DELAY_LAST_MS = 50;
/** Where a sidecar may answer from memory for an hour, so long may this wait be: the delay grows with the time waited. */
const POLL_DELAY_SHARE = 0.01;
/** How long the first look may fail before the barrier gives up, ms. Later looks may fail until the wait is over. */
const FIRST_READING_PATIENCE_MS = 5_000;
const FIRST_READING_RETRY_MS = 50;

/** Runs {@link BarrierWait} with a real clock and the database. */
export class RevocationBarrier implements Barrier {
  private readonly protections: Protections;
  private readonly readings: SharedReadings<BarrierReading>;
  /** Goes on behind the answers. */
  private forgetting: Promise<void> = Promise.resolve();

  constructor(private readonly parts: RevocationBarrierParts) {
    this.protections = parts.protections ?? ALL_PROTECTIONS;
    this.readings = new SharedReadings(() => parts.history.readBarrier());
  }

  async confirm(commit: ConfirmedCommit): Promise<Receipt> {
    const confirmedAtMs = this.parts.clock.monotonicMs();
    try {
      const wait = await this.begin(confirmedAtMs, confirmedAtMs + FIRST_READING_PATIENCE_MS);
      await this.waitOut(wait, Number.POSITIVE_INFINITY);
      const receipt = this.receipt(wait, commit, confirmedAtMs);
      this.parts.metrics.revocationConfirmed(receipt);
      this.forgetting = this.forgetting.then(() => this.forgetWaitedOut(wait));
      return receipt;
    } catch (cause) {
      this.parts.metrics.revocationUnconfirmed();
      throw new Failure(
        'unconfirmed',
        'The change is committed, but it could not yet be confirmed that every sidecar enforces it. Repeat the call.',
        { cause },
      );
    }
  }

  /**
   * Resolves when the sidecars whose leases were waited out are forgotten, so that the next revocation need not wait for
   * them again. To be called before the connections of the history are closed.
   */
  async close(): Promise<void> {
    await this.forgetting;
  }

  async settle(atMostMs: number): Promise<boolean> {
    const untilMs = this.parts.clock.monotonicMs() + atMostMs;
    const proven = (async () => {
      try {
        const wait = await this.begin(this.parts.clock.monotonicMs(), untilMs);
        return await this.waitOut(wait, untilMs);
      } catch {
        return false;
      }
    })();
    // A reading that hangs must not hold the caller longer than it asked for.
    return await within(this.parts.timers, atMostMs, proven, () => false);
  }

  private async begin(confirmedAtMs: number, untilMs: number): Promise<BarrierWait> {
    for (;;) {
      try {
        const first = await this.readings.next();
        const arrivedAtMs = this.protections.waitAfterRead ? this.parts.clock.monotonicMs() : confirmedAtMs;
        return new BarrierWait(first, arrivedAtMs, this.protections);
      } catch (error) {
        if (this.parts.clock.monotonicMs() + FIRST_READING_RETRY_MS >= untilMs) throw error;
        await pause(this.parts.timers, FIRST_READING_RETRY_MS);
      }
    }
  }

  /** `true` when the barrier is over, `false` when `untilMs` came first. */
  private async waitOut(wait: BarrierWait, untilMs: number): Promise<boolean> {
    const { clock, timers, logger } = this.parts;
    const beganMs = clock.monotonicMs();
    for (let looks = 0; ; looks++) {
      const nowMs = clock.monotonicMs();
      if (wait.over(nowMs)) return true;
      if (nowMs >= untilMs) return false;
      const delayMs = POLL_DELAYS_MS[looks] ?? Math.max(POLL_DELAY_LAST_MS, (nowMs - beganMs) * POLL_DELAY_SHARE);
      await pause(timers, Math.max(1, Math.min(delayMs, wait.deadlineMs - nowMs, untilMs - nowMs)));
      // Past the deadline nothing that the rows could say matters, and the database may be gone.
      if (wait.over(clock.monotonicMs())) continue;
      const look = this.readings.next().then(
        (reading) => wait.observe(reading, clock.monotonicMs()),
        (error: unknown) => logger.debug('a look at the sidecars failed', { error }),
      );
      await within(timers, Math.max(1, wait.deadlineMs - clock.monotonicMs()), look, () => {});
    }
  }

  private receipt(wait: BarrierWait, commit: ConfirmedCommit, confirmedAtMs: number): Receipt {
    const { acknowledged, expired, lastAckAtMs } = wait.outcome;
    return {
      sequence: wait.target,
      committedAtMs: commit.committedAtMs,
      confirmedInMs: this.parts.clock.monotonicMs() - confirmedAtMs,
      sidecars: { acknowledged, expired },
      slowestAckMs: lastAckAtMs === null ? null : lastAckAtMs - confirmedAtMs,
    };
  }

  private async forgetWaitedOut(wait: BarrierWait): Promise<void> {
    const rows = wait.waitedOut(this.parts.clock.monotonicMs());
    if (rows.length === 0) return;
    this.parts.logger.warn('sidecars did not acknowledge; their leases were waited out', {
      sidecarIds: rows.map((row) => row.id),
    });
    try {
      await this.parts.history.forget(rows);
    } catch (error) {
      // Costs the next revocation one more wait, nothing else.
      this.parts.logger.debug('expired sidecars could not be forgotten', { error });
    }
  }
}
