import type { HistoryEvent, Position } from '../domain/history-event.js';
import type { HistoryReading, Renewal } from '../ports/history.js';
import { type LeaseToken, NO_LEASE } from '../ports/lease.js';
import { ALL_PROTECTIONS, type Protections } from '../ports/protections.js';
import type { ClockReading } from './clock-reading.js';
import { type FollowedHistory, judgeReading } from './judge-reading.js';
import { CLOCK_JUMP_TOLERANCE_MS, sidecarMarginMs } from './margins.js';

/** Numbers one call to the database; an answer counts only for the call it belongs to. */
export type CallId = number;

/** What the machine wants done. The driver carries the actions out in order, the synchronous ones before it returns. */
export type LeaseAction =
  | { readonly kind: 'register'; readonly call: CallId; readonly renewal: Renewal }
  | { readonly kind: 'renew'; readonly call: CallId; readonly renewal: Renewal }
  | { readonly kind: 'read'; readonly call: CallId; readonly after: Position | null }
  | {
      readonly kind: 'acknowledge';
      readonly call: CallId;
      readonly sidecarId: string;
      readonly position: Position;
    }
  | { readonly kind: 'deregister'; readonly sidecarId: string }
  /** Synchronous: no answer may be given between this and the action before it. */
  | { readonly kind: 'apply'; readonly event: HistoryEvent }
  /** Synchronous. */
  | { readonly kind: 'forget-all' }
  | { readonly kind: 'report'; readonly outcome: LeaseOutcome; readonly detail: string };

/** How an attempt to renew ended. */
export type LeaseOutcome = 'renewed' | 'failed' | 'start_over';

/** Settings of one machine. */
export interface LeaseOptions {
  /** Length of a lease, ms. */
  readonly leaseMs: number;
  /** How much longer memory may answer while the database is out of reach, ms; 0: not at all. */
  readonly lossMs: number;
  /** Makes the id of a new incarnation: a UUID that nobody else ever uses. */
  readonly nextId: () => string;
  /** A number in [0, 1): spreads retries. */
  readonly random: () => number;
  /** Most events read at once; a sidecar that is further behind starts over. */
  readonly readLimit: number;
  readonly protections?: Protections;
}

/** A renewal under way: step 1 (`writing`), then step 2 (`reading`). */
interface Attempt {
  /** Both clocks before step 1 was sent. */
  readonly startedAt: ClockReading;
  stage: 'writing' | 'reading';
  call: CallId;
  readonly renewal: Renewal;
}

const RETRY_FLOOR_MS = 50;
const ABANDONED_IDS_MAX = 16;

/**
 * A sidecar's half of the coherence protocol, as a pure state machine: events and clock readings in, actions out.
 *
 * ```
 *            start, tick                answered(register)           answered(read)
 *  (no row) ─────────────▶ registering ────────────────────▶ reading ──────────────▶ leased ◀─┐
 *     ▲                                                                 tick │  ▲ answered(read)
 *     │  row gone, history changed (start over)                              ▼  │
 *     └──────────────────────────────────────────────────────────────── renewing ▶ reading
 * ```
 *
 * Guarantees, under the assumptions of docs/guarantee.md:
 * - A lease counts from before step 1 was sent, and is valid only once everything up to the head that step 2 read has
 *   been applied; step 2 is sent only after step 1's commit was confirmed.
 * - An event is applied before it is acknowledged, and nothing later is applied before it.
 * - Anything that could be another history (a gap, a pruned range, another token or lineage) ends in a start over: a
 *   new id, nothing remembered, no lease.
 * - No transition depends on when a timer fires; `tick` may be called at any time.
 *
 * Not a timer, not a connection: those are the driver's. Rule: Gray and Cheriton, "Leases" (SOSP 1989).
 */
export class LeaseMachine {
  private readonly protections: Protections;
  private readonly marginMs: number;
  /** How much longer than a lease memory may answer on database loss, ms: `lossMs` less its own share of the margin. */
  private readonly lossWindowMs: number;

  private id = '';
  /** The row of `id` is known to have existed. */
  private registered = false;
  private attemptNumber = 0;
  private attempt: Attempt | null = null;
  private lastCall: CallId = 0;
  private dueMs = Number.NEGATIVE_INFINITY;
  private failures = 0;
  private stopped = false;
  /** Registrations whose outcome is unknown: their rows are deleted once one succeeds. None ever held a lease. */
  private abandonedIds: string[] = [];

  private followed: FollowedHistory | null = null;
  private acknowledgedSequence = -1n;
  private acknowledgement: { readonly call: CallId; readonly position: Position } | null = null;
  private hintRead: CallId | null = null;
  private hinted = false;
  private readSentMs = Number.NEGATIVE_INFINITY;
  private freshMs = Number.NEGATIVE_INFINITY;
  /** Only with the protection `acknowledgementOrder` removed: events acknowledged and not applied yet. */
  private unapplied: HistoryEvent[] = [];

  private token: LeaseToken = NO_LEASE;
  private validUntilMs = Number.NEGATIVE_INFINITY;
  /** wall − monotonic when the attempt that gave the lease began. */
  private clockOffsetMs = 0;

  constructor(private readonly options: LeaseOptions) {
    this.protections = options.protections ?? ALL_PROTECTIONS;
    const marginOf = (ms: number) => (this.protections.margin ? sidecarMarginMs(ms) : 0);
    this.marginMs = marginOf(options.leaseMs);
    this.lossWindowMs = options.lossMs - (marginOf(options.leaseMs + options.lossMs) - this.marginMs);
  }

  /** Monotonic time at which `tick` wants to be called next, ms. Being late costs the lease, never correctness. */
  get dueAtMs(): number {
    return this.attempt === null ? this.dueMs : this.attempt.startedAt.monotonicMs + this.options.leaseMs;
  }

  /** Sequence of the newest applied event; -1n before anything was read. */
  get appliedSequence(): bigint {
    return this.applied?.sequence ?? -1n;
  }

  /** Id of the row of this incarnation, or `''`. */
  get sidecarId(): string {
    return this.registered ? this.id : '';
  }

  /**
   * Monotonic time, ms, at which the newest applied reading was sent: nothing answered from memory can be older.
   * -Infinity before the first.
   */
  get freshSinceMs(): number {
    return this.freshMs;
  }

  /**
   * The lease that is valid at this instant, or `NO_LEASE`. A change of (wall − monotonic) beyond the tolerance, either
   * way, ends the lease: the machine was suspended, or its clock stepped.
   */
  held(monotonicMs: number, wallMs: number): LeaseToken {
    return this.heldUntil(this.validUntilMs, monotonicMs, wallMs);
  }

  /**
   * As {@link held}, for `lossMs` (less its margin) longer: only for answers that neither a lease nor the database can
   * give. Revokers wait for it, because `lease_ms` says so.
   */
  heldOnLoss(monotonicMs: number, wallMs: number): LeaseToken {
    return this.heldUntil(this.validUntilMs + this.lossWindowMs, monotonicMs, wallMs);
  }

  /** Begins a renewal when one is due, and gives up one that can no longer give a lease. */
  tick(now: ClockReading): LeaseAction[] {
    if (this.stopped) return [];
    const actions: LeaseAction[] = [];
    if (this.attempt !== null) {
      if (now.monotonicMs < this.dueAtMs) return [];
      this.attemptFailed(now, 'no answer within a lease', actions);
    }
    if (now.monotonicMs >= this.dueMs) this.beginAttempt(now, actions);
    return actions;
  }

  /** Something may have changed: reads the history at once. Only a hint; doing nothing would be correct too. */
  hint(now: ClockReading): LeaseAction[] {
    if (this.stopped || this.applied === null) return [];
    if (this.hintRead !== null || this.attempt?.stage === 'reading') {
      // The read under way may have been taken before the change.
      this.hinted = true;
      return [];
    }
    const actions: LeaseAction[] = [];
    this.hintRead = this.read(now, actions);
    return actions;
  }

  /** `register` resolved. */
  registeredRow(call: CallId, now: ClockReading): LeaseAction[] {
    if (this.attempt?.call !== call) return [];
    const actions: LeaseAction[] = [];
    this.registered = true;
    for (const sidecarId of this.abandonedIds) actions.push({ kind: 'deregister', sidecarId });
    this.abandonedIds = [];
    this.beginReading(now, actions);
    return actions;
  }

  /** `renew` resolved. */
  renewedRow(call: CallId, updated: boolean, now: ClockReading): LeaseAction[] {
    if (this.attempt?.call !== call) return [];
    const actions: LeaseAction[] = [];
    if (updated) this.beginReading(now, actions);
    else this.startOver(now, 'the row is gone', actions);
    return actions;
  }

  /** `read` resolved. */
  readHistory(call: CallId, reading: HistoryReading, now: ClockReading): LeaseAction[] {
    const actions: LeaseAction[] = [];
    const forAttempt = this.attempt?.stage === 'reading' && this.attempt.call === call;
    if (!forAttempt && this.hintRead !== call) return [];
    const change = judgeReading(this.followed, reading, this.protections);
    if (change !== null) {
      this.startOver(now, change, actions);
      return actions;
    }
    this.hintRead = null;
    this.applyReading(reading, actions);
    if (forAttempt) this.activate(now, actions);
    this.acknowledge(actions);
    this.followHint(now, actions);
    return actions;
  }

  /** `acknowledge` resolved. */
  acknowledged(call: CallId, accepted: boolean, now: ClockReading): LeaseAction[] {
    if (this.acknowledgement?.call !== call) return [];
    const actions: LeaseAction[] = [];
    const { position } = this.acknowledgement;
    this.acknowledgement = null;
    this.applyUnapplied(actions);
    if (!accepted) {
      this.startOver(now, 'the acknowledged event is not part of the history', actions);
      return actions;
    }
    if (position.sequence > this.acknowledgedSequence) this.acknowledgedSequence = position.sequence;
    this.acknowledge(actions);
    return actions;
  }

  /** A call was rejected: nothing is known of its effect. */
  failed(call: CallId, now: ClockReading): LeaseAction[] {
    const actions: LeaseAction[] = [];
    if (this.attempt?.call === call) {
      this.attemptFailed(now, 'the database did not answer, or refused', actions);
      this.followHint(now, actions);
    } else if (this.hintRead === call) {
      this.hintRead = null;
      this.followHint(now, actions);
    } else if (this.acknowledgement?.call === call) {
      // The next renewal carries the position.
      this.acknowledgement = null;
      this.applyUnapplied(actions);
    }
    return actions;
  }

  /** Gives up the lease, forgets everything, and only then lets go of the row. */
  stop(): LeaseAction[] {
    if (this.stopped) return [];
    this.stopped = true;
    const actions: LeaseAction[] = [];
    this.endIncarnation(actions);
    for (const sidecarId of this.abandonedIds) actions.push({ kind: 'deregister', sidecarId });
    this.abandonedIds = [];
    return actions;
  }

  private get applied(): Position | null {
    return this.followed?.position ?? null;
  }

  private heldUntil(untilMs: number, monotonicMs: number, wallMs: number): LeaseToken {
    if (!this.protections.leaseCheck) return this.token;
    // Written so that a NaN gives no lease.
    if (!(monotonicMs < untilMs)) return NO_LEASE;
    if (!this.clockIsSteady(this.clockOffsetMs, monotonicMs, wallMs)) {
      this.endLease();
      return NO_LEASE;
    }
    return this.token;
  }

  private clockIsSteady(offsetMs: number, monotonicMs: number, wallMs: number): boolean {
    return Math.abs(wallMs - monotonicMs - offsetMs) <= CLOCK_JUMP_TOLERANCE_MS;
  }

  private endLease(): void {
    this.validUntilMs = Number.NEGATIVE_INFINITY;
    // Renew at the next tick rather than at the ordinary time.
    this.dueMs = Number.NEGATIVE_INFINITY;
  }

  private beginAttempt(now: ClockReading, actions: LeaseAction[]): void {
    if (!this.registered) {
      this.id = this.options.nextId();
      this.attemptNumber = 0;
    }
    const renewal: Renewal = {
      sidecarId: this.id,
      attempt: ++this.attemptNumber,
      leaseMs: this.options.leaseMs + this.options.lossMs,
      position: this.applied,
    };
    const call = ++this.lastCall;
    this.attempt = { startedAt: now, stage: 'writing', call, renewal };
    actions.push({ kind: this.registered ? 'renew' : 'register', call, renewal });
  }

  /** Reads again if a hint came while a read was under way: that one may have been taken before the change. */
  private followHint(now: ClockReading, actions: LeaseAction[]): void {
    if (!this.hinted || this.stopped) return;
    this.hinted = false;
    actions.push(...this.hint(now));
  }

  private beginReading(now: ClockReading, actions: LeaseAction[]): void {
    const attempt = this.attempt as Attempt;
    const written = attempt.renewal.position;
    if (written !== null && written.sequence > this.acknowledgedSequence) {
      this.acknowledgedSequence = written.sequence;
    }
    attempt.stage = 'reading';
    // Supersedes a hinted read, whose answer could come later and be older.
    this.hintRead = null;
    this.hinted = false;
    attempt.call = this.read(now, actions);
  }

  private read(now: ClockReading, actions: LeaseAction[]): CallId {
    const call = ++this.lastCall;
    this.readSentMs = now.monotonicMs;
    actions.push({ kind: 'read', call, after: this.applied });
    return call;
  }

  private applyReading(reading: HistoryReading, actions: LeaseAction[]): void {
    if (this.protections.acknowledgementOrder) {
      for (const event of reading.events) actions.push({ kind: 'apply', event });
    } else {
      this.unapplied.push(...reading.events);
    }
    this.followed = { position: reading.head, lineage: reading.lineage };
    this.freshMs = this.readSentMs;
  }

  private applyUnapplied(actions: LeaseAction[]): void {
    for (const event of this.unapplied) actions.push({ kind: 'apply', event });
    this.unapplied = [];
  }

  private acknowledge(actions: LeaseAction[]): void {
    const position = this.applied;
    if (position === null || this.acknowledgement !== null || position.sequence <= this.acknowledgedSequence) return;
    const call = ++this.lastCall;
    this.acknowledgement = { call, position };
    actions.push({ kind: 'acknowledge', call, sidecarId: this.id, position });
  }

  private activate(now: ClockReading, actions: LeaseAction[]): void {
    const { startedAt } = this.attempt as Attempt;
    const offsetMs = startedAt.wallMs - startedAt.monotonicMs;
    const untilMs = startedAt.monotonicMs + this.options.leaseMs - this.marginMs;
    if (!(now.monotonicMs < untilMs)) {
      this.attemptFailed(now, 'answered too late to give a lease', actions);
      return;
    }
    if (!this.clockIsSteady(offsetMs, now.monotonicMs, now.wallMs)) {
      this.attemptFailed(now, 'the clock stepped, or the machine slept', actions);
      return;
    }
    if (this.held(now.monotonicMs, now.wallMs) === NO_LEASE) this.token += 1;
    this.validUntilMs = untilMs;
    this.clockOffsetMs = offsetMs;
    this.attempt = null;
    this.failures = 0;
    this.dueMs = startedAt.monotonicMs + this.options.leaseMs / 3;
    actions.push({ kind: 'report', outcome: 'renewed', detail: '' });
  }

  private attemptFailed(now: ClockReading, detail: string, actions: LeaseAction[]): void {
    if (!this.registered) {
      this.abandonedIds.push(this.id);
      if (this.abandonedIds.length > ABANDONED_IDS_MAX) this.abandonedIds.shift();
    }
    this.attempt = null;
    this.retryLater(now);
    actions.push({ kind: 'report', outcome: 'failed', detail });
  }

  /** Doubles from {@link RETRY_FLOOR_MS} to a third of a lease, spread over the upper half of the delay. */
  private retryLater(now: ClockReading): void {
    const delayMs = Math.min(this.options.leaseMs / 3, RETRY_FLOOR_MS * 2 ** this.failures);
    this.failures = Math.min(this.failures + 1, 16);
    this.dueMs = now.monotonicMs + delayMs * (0.5 + this.options.random() / 2);
  }

  private startOver(now: ClockReading, detail: string, actions: LeaseAction[]): void {
    this.endIncarnation(actions);
    this.retryLater(now);
    actions.push({ kind: 'report', outcome: 'start_over', detail });
  }

  private endIncarnation(actions: LeaseAction[]): void {
    this.endLease();
    this.unapplied = [];
    actions.push({ kind: 'forget-all' });
    if (this.id !== '') actions.push({ kind: 'deregister', sidecarId: this.id });
    this.id = '';
    this.registered = false;
    this.attempt = null;
    this.followed = null;
    this.acknowledgedSequence = -1n;
    this.acknowledgement = null;
    this.hintRead = null;
    this.hinted = false;
  }
}
