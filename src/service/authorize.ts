import {
  decide,
  KEY_ABSENT,
  OWNER_NEEDED,
  OWNER_NOT_READ,
  OWNERSHIP_NOT_ENFORCED,
  type OwnerFinding,
  WORKFLOW_ABSENT,
} from '../domain/decide.js';
import { Failure } from '../domain/failure.js';
import type { KeyRecord } from '../domain/key-record.js';
import type { KeyTags } from '../domain/key-tag.js';
import type { MethodCatalogue } from '../domain/method-catalogue.js';
import type { MethodEntry } from '../domain/method-entry.js';
import { hashRawKey, isWellFormedRawKey, RAW_KEY_LENGTH } from '../domain/raw-key.js';
import { Reason, reasonCarriesIdentity } from '../domain/reason.js';
import type { Awaitable } from '../ports/awaitable.js';
import type { Clock } from '../ports/clock.js';
import type { KeyStore } from '../ports/key-store.js';
import type { UsageRecorder } from '../ports/key-usage.js';
import { type Lease, type LeaseToken, NO_LEASE } from '../ports/lease.js';
import type { Metrics, Surface } from '../ports/metrics.js';
import type { WorkflowStore } from '../ports/workflow-store.js';
import type { Authorizer, Verdict } from './authorizer.js';

/** What an {@link Authorizer} is made of. */
export interface AuthorizerParts {
  readonly keys: KeyStore;
  readonly workflows: WorkflowStore;
  /** Set where the stores remember: lets a request that needs nothing else be decided from memory at once. */
  readonly lease?: Lease;
  readonly catalogue: MethodCatalogue;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly usage: UsageRecorder;
  /** Whether a workflow that a request names must exist and belong to the key's account. */
  readonly enforceOwnership: boolean;
  /** Set when every valid key is known to carry a tag: a key without one is unknown, and no look-up is spent on it. */
  readonly requiredTags: KeyTags | null;
}

/**
 * Of decisions from memory one in so many is timed, and stands for those up to the next: reading the clock once more
 * costs a tenth of such a decision, and they hardly differ. Every decision that waited for something is timed itself.
 */
const TIMED_ONE_IN = 16;

/** Makes the authorizer that every transport asks. */
export function createAuthorizer(parts: AuthorizerParts): Authorizer {
  return new StoreAuthorizer(parts);
}

/**
 * The hot path. With everything in memory it runs to its end without a promise, a closure, a regular expression or a
 * label object, and allocates the verdict only.
 */
class StoreAuthorizer implements Authorizer {
  private readonly keys: KeyStore;
  private readonly workflows: WorkflowStore;
  private readonly lease: Lease | undefined;
  private readonly catalogue: MethodCatalogue;
  private readonly clock: Clock;
  private readonly metrics: Metrics;
  private readonly usage: UsageRecorder;
  private readonly requiredTags: KeyTags | null;
  private readonly ownerAtFirst: OwnerFinding;
  /** Decisions from memory until one is timed again, and how long the one timed last took. */
  private untimed = 0;
  private secondsFromMemory = 0;

  constructor(parts: AuthorizerParts) {
    this.keys = parts.keys;
    this.workflows = parts.workflows;
    this.lease = parts.lease;
    this.catalogue = parts.catalogue;
    this.clock = parts.clock;
    this.metrics = parts.metrics;
    this.usage = parts.usage;
    this.requiredTags = parts.requiredTags;
    this.ownerAtFirst = parts.enforceOwnership ? OWNER_NOT_READ : OWNERSHIP_NOT_ENFORCED;
  }

  authorize(surface: Surface, rawKey: string, workflowId: string, method: string): Awaitable<Verdict> {
    // Each clock is read once here, after the request has arrived, and serves the lease, the expiry and the duration.
    const startedMs = this.clock.monotonicMs();
    const nowMs = this.clock.wallMs();
    const entry = this.catalogue.find(method);
    if (rawKey.length !== RAW_KEY_LENGTH) {
      return this.answerAfter(surface, startedMs, Reason.KEY_MALFORMED, null, entry, nowMs);
    }
    const keyHash = hashRawKey(rawKey);
    const lease = this.lease === undefined ? NO_LEASE : this.lease.heldAt(startedMs, nowMs);
    // Memory first: what is known there under this hash was looked up for a key that passed both checks below, and a
    // string with the same hash is the same key. The checks cost more than all the rest of the decision.
    const known = lease === NO_LEASE ? undefined : this.keys.recall?.(keyHash, lease);
    if (known !== undefined) return this.decideFromMemory(surface, startedMs, known, workflowId, entry, nowMs, lease);

    if (!isWellFormedRawKey(rawKey)) {
      return this.answerAfter(surface, startedMs, Reason.KEY_MALFORMED, null, entry, nowMs);
    }
    if (this.requiredTags !== null && !this.requiredTags.isTagged(rawKey)) {
      return this.answerAfter(surface, startedMs, Reason.KEY_UNKNOWN, null, entry, nowMs);
    }
    let key: Awaitable<KeyRecord | null>;
    try {
      key = this.keys.find(keyHash);
    } catch (error) {
      throw this.undecided(surface, error);
    }
    if (key instanceof Promise) return this.decideLater(surface, startedMs, key, workflowId, entry);
    return this.decideWithKey(surface, startedMs, key, workflowId, entry, nowMs);
  }

  private decideFromMemory(
    surface: Surface,
    startedMs: number,
    key: KeyRecord | null,
    workflowId: string,
    method: MethodEntry | undefined,
    nowMs: number,
    lease: LeaseToken,
  ): Awaitable<Verdict> {
    let owner = this.ownerAtFirst;
    if (owner === OWNER_NOT_READ && workflowId !== '') {
      const known = this.workflows.recall?.(workflowId, lease);
      if (known !== undefined) owner = known ?? WORKFLOW_ABSENT;
    }
    const reason = decide(key ?? KEY_ABSENT, owner, method, workflowId, nowMs);
    if (reason === OWNER_NEEDED) return this.decideWithKey(surface, startedMs, key, workflowId, method, nowMs);
    if (this.untimed === 0) {
      this.untimed = TIMED_ONE_IN;
      this.secondsFromMemory = (this.clock.monotonicMs() - startedMs) / 1000;
    }
    this.untimed--;
    return this.answer(surface, this.secondsFromMemory, reason, key, method, nowMs);
  }

  private async decideLater(
    surface: Surface,
    startedMs: number,
    pending: Promise<KeyRecord | null>,
    workflowId: string,
    method: MethodEntry | undefined,
  ): Promise<Verdict> {
    let key: KeyRecord | null;
    try {
      key = await pending;
    } catch (error) {
      throw this.undecided(surface, error);
    }
    return this.decideWithKey(surface, startedMs, key, workflowId, method, this.clock.wallMs());
  }

  private decideWithKey(
    surface: Surface,
    startedMs: number,
    key: KeyRecord | null,
    workflowId: string,
    method: MethodEntry | undefined,
    nowMs: number,
  ): Awaitable<Verdict> {
    const reason = decide(key ?? KEY_ABSENT, this.ownerAtFirst, method, workflowId, nowMs);
    if (reason !== OWNER_NEEDED) return this.answerAfter(surface, startedMs, reason, key, method, nowMs);
    let owner: Awaitable<string | null>;
    try {
      owner = this.workflows.ownerOf(workflowId);
    } catch (error) {
      throw this.undecided(surface, error);
    }
    if (owner instanceof Promise) return this.decideWithOwnerLater(surface, startedMs, key, owner, workflowId, method);
    return this.decideWithOwner(surface, startedMs, key, owner, workflowId, method, nowMs);
  }

  private async decideWithOwnerLater(
    surface: Surface,
    startedMs: number,
    key: KeyRecord | null,
    pending: Promise<string | null>,
    workflowId: string,
    method: MethodEntry | undefined,
  ): Promise<Verdict> {
    let owner: string | null;
    try {
      owner = await pending;
    } catch (error) {
      throw this.undecided(surface, error);
    }
    // The key may have expired meanwhile.
    return this.decideWithOwner(surface, startedMs, key, owner, workflowId, method, this.clock.wallMs());
  }

  private decideWithOwner(
    surface: Surface,
    startedMs: number,
    key: KeyRecord | null,
    owner: string | null,
    workflowId: string,
    method: MethodEntry | undefined,
    nowMs: number,
  ): Verdict {
    const reason = decide(key ?? KEY_ABSENT, owner ?? WORKFLOW_ABSENT, method, workflowId, nowMs);
    // An owner was given, so that it cannot be asked for again; if it were, the answer would be no.
    const final = reason === OWNER_NEEDED ? Reason.WORKFLOW_UNKNOWN : reason;
    return this.answerAfter(surface, startedMs, final, key, method, nowMs);
  }

  private answerAfter(
    surface: Surface,
    startedMs: number,
    reason: Reason,
    key: KeyRecord | null,
    method: MethodEntry | undefined,
    nowMs: number,
  ): Verdict {
    return this.answer(surface, (this.clock.monotonicMs() - startedMs) / 1000, reason, key, method, nowMs);
  }

  private answer(
    surface: Surface,
    seconds: number,
    reason: Reason,
    key: KeyRecord | null,
    method: MethodEntry | undefined,
    nowMs: number,
  ): Verdict {
    if (reason === Reason.GRANTED && key !== null) this.usage.record(key.id, nowMs);
    this.metrics.decision(surface, reason, seconds);
    return { reason, key: reasonCarriesIdentity(reason) ? key : null, method };
  }

  private undecided(surface: Surface, error: unknown): Failure {
    const failure = Failure.from(error);
    this.metrics.undecided(surface, failure.kind);
    return failure;
  }
}
