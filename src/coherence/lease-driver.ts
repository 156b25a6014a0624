import type { HistoryEvent } from '../domain/history-event.js';
import type { CacheControl } from '../ports/cache-control.js';
import type { CancelTimer, Clock, Timers } from '../ports/clock.js';
import type { History, HistoryReading } from '../ports/history.js';
import { type Lease, type LeaseToken, NO_LEASE } from '../ports/lease.js';
import type { Logger } from '../ports/logger.js';
import type { LeaseGauge, Metrics } from '../ports/metrics.js';
import type { ClockReading } from './clock-reading.js';
import { type CallId, type LeaseAction, LeaseMachine, type LeaseOptions } from './lease.js';

/** What {@link LeaseDriver} is made of. */
export interface LeaseDriverParts {
  readonly options: LeaseOptions;
  readonly history: History;
  readonly caches: CacheControl;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Pause between two looks at a lease that is already due, ms: keeps a lost lease from becoming a busy loop. */
const SOONEST_TICK_MS = 1;

/**
 * Runs a {@link LeaseMachine} with real clocks, timers and a database, and is the process's {@link Lease}.
 *
 * Carries out the machine's actions in order; the synchronous ones (apply, forget) before anything else can run, so
 * that no decision sees a lease whose events have not been applied.
 */
export class LeaseDriver implements Lease {
  private readonly machine: LeaseMachine;
  /** Of the call whose failure is being dealt with. */
  private lastError: unknown = null;
  private readonly departures = new Set<Promise<void>>();
  private cancelTimer: CancelTimer = () => {};
  private timerDueMs = Number.POSITIVE_INFINITY;
  private started = false;
  private stopped = false;
  private troubled = false;
  private firstLease: (() => void) | null = null;

  /** Resolves when the first lease is held; never rejects, and stays pending while the database is out of reach. */
  readonly leased: Promise<void>;

  constructor(private readonly parts: LeaseDriverParts) {
    this.machine = new LeaseMachine(parts.options);
    this.leased = new Promise((resolve) => {
      this.firstLease = resolve;
    });
    parts.metrics.watchLease(() => this.gauge());
  }

  /** Id of this incarnation's row in `sidecars`, or `''` while it has none. Changes after every start over. */
  get sidecarId(): string {
    return this.machine.sidecarId;
  }

  held(): LeaseToken {
    return this.heldAt(this.parts.clock.monotonicMs(), this.parts.clock.wallMs());
  }

  heldAt(monotonicMs: number, wallMs: number): LeaseToken {
    const token = this.machine.held(monotonicMs, wallMs);
    // A lease that was ended by the clock wants to be renewed before the timer that was set for it.
    if (token === NO_LEASE && this.started && this.machine.dueAtMs < this.timerDueMs) this.schedule(monotonicMs);
    return token;
  }

  heldOnLoss(): LeaseToken {
    return this.machine.heldOnLoss(this.parts.clock.monotonicMs(), this.parts.clock.wallMs());
  }

  /** Begins to acquire and keep the lease. */
  start(): void {
    this.started = true;
    this.run(this.machine.tick(this.now()));
  }

  /** Something may have changed: look now. Any number of calls costs at most one read under way and one to follow. */
  hint(): void {
    if (this.started) this.run(this.machine.hint(this.now()));
  }

  /** Gives up the lease at once, then deletes the row. Resolves when that is done or has failed. */
  async stop(): Promise<void> {
    if (this.stopped) return;
    this.stopped = true;
    this.cancelTimer();
    this.run(this.machine.stop());
    this.cancelTimer();
    await Promise.all(this.departures);
  }

  /**
   * The wall clock first, the reverse of {@link held}: a process that is stopped between two readings then seems to have
   * slept when the lease is used, which ends it. Read the other way round here, the stop would hide a sleep as long.
   */
  private now(): ClockReading {
    const wallMs = this.parts.clock.wallMs();
    return { monotonicMs: this.parts.clock.monotonicMs(), wallMs };
  }

  private schedule(nowMs: number): void {
    this.cancelTimer();
    if (this.stopped) return;
    this.timerDueMs = this.machine.dueAtMs;
    const delayMs = Math.max(SOONEST_TICK_MS, this.timerDueMs - nowMs);
    this.cancelTimer = this.parts.timers.after(delayMs, () => {
      this.timerDueMs = Number.POSITIVE_INFINITY;
      this.run(this.machine.tick(this.now()));
    });
  }

  private run(actions: readonly LeaseAction[]): void {
    try {
      for (const action of actions) this.carryOut(action);
    } catch (error) {
      // An event may not have reached every cache: nothing remembered here can be vouched for any more.
      this.machine.stop();
      throw error;
    }
    this.schedule(this.parts.clock.monotonicMs());
  }

  private carryOut(action: LeaseAction): void {
    const { history, caches } = this.parts;
    switch (action.kind) {
      case 'apply':
        caches.apply(action.event);
        return;
      case 'forget-all':
        caches.forgetAll();
        return;
      case 'register':
        this.call(action.call, history.register(action.renewal), () =>
          this.machine.registeredRow(action.call, this.now()),
        );
        return;
      case 'renew':
        this.call(action.call, history.renew(action.renewal), (updated) =>
          this.machine.renewedRow(action.call, updated, this.now()),
        );
        return;
      case 'read':
        this.call(action.call, history.readHistory(action.after, this.parts.options.readLimit), (reading) => {
          const actions = this.machine.readHistory(action.call, reading, this.now());
          this.measure(actions, reading);
          return actions;
        });
        return;
      case 'acknowledge':
        this.call(action.call, history.acknowledge(action.sidecarId, action.position), (accepted) =>
          this.machine.acknowledged(action.call, accepted, this.now()),
        );
        return;
      case 'deregister':
        this.depart(action.sidecarId);
        return;
      case 'report':
        this.report(action);
        return;
      default:
        action satisfies never;
    }
  }

  private call<T>(call: CallId, answer: Promise<T>, answered: (value: T) => LeaseAction[]): void {
    void answer.then(
      (value) => this.run(answered(value)),
      (error: unknown) => {
        this.parts.logger.debug('a coherence call failed', { error });
        this.lastError = error;
        this.run(this.machine.failed(call, this.now()));
        this.lastError = null;
      },
    );
  }

  private depart(sidecarId: string): void {
    const departure = this.parts.history.deregister(sidecarId).catch((error: unknown) => {
      // The next revocation waits one lease for the row that stays behind, then deletes it.
      this.parts.logger.debug('a sidecar row could not be deleted', { sidecarId, error });
    });
    this.departures.add(departure);
    void departure.then(() => this.departures.delete(departure));
  }

  private measure(actions: readonly LeaseAction[], reading: HistoryReading): void {
    for (const action of actions) {
      if (action.kind === 'apply' && isRevocation(action.event)) {
        this.parts.metrics.revocationApplied(Math.max(0, reading.databaseNowMs - action.event.atMs) / 1000);
      }
    }
  }

  private report(action: Extract<LeaseAction, { kind: 'report' }>): void {
    const { metrics, logger } = this.parts;
    metrics.renewal(action.outcome);
    if (action.outcome === 'renewed') {
      if (this.troubled) logger.info('the lease is held again');
      this.troubled = false;
      this.firstLease?.();
      this.firstLease = null;
      return;
    }
    // One line when trouble begins, one when it ends; the counter tells of every attempt between.
    if (action.outcome === 'start_over' || !this.troubled) {
      logger.warn('the lease could not be renewed; decisions read the database once it is over', {
        outcome: action.outcome,
        detail: action.detail,
        ...(this.lastError === null ? {} : { error: this.lastError }),
      });
    }
    this.troubled = true;
  }

  private gauge(): LeaseGauge {
    const now = this.now();
    const valid = this.machine.held(now.monotonicMs, now.wallMs) !== NO_LEASE;
    const remembered = valid || this.machine.heldOnLoss(now.monotonicMs, now.wallMs) !== NO_LEASE;
    return {
      valid,
      appliedSequence: this.machine.appliedSequence,
      stalenessBoundSeconds: remembered ? (now.monotonicMs - this.machine.freshSinceMs) / 1000 : 0,
    };
  }
}

function isRevocation(event: HistoryEvent): boolean {
  return event.kind === 'key-revoked' || event.kind === 'key-deleted';
}
