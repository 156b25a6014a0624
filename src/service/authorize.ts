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
import { hashRawKey, isWellFormedRawKey, type KeyHash } from '../domain/raw-key.js';
import { Reason, reasonCarriesIdentity } from '../domain/reason.js';
import type { Awaitable } from '../ports/awaitable.js';
import type { Clock } from '../ports/clock.js';
import type { KeyStore } from '../ports/key-store.js';
import type { UsageRecorder } from '../ports/key-usage.js';
import type { Metrics, Surface } from '../ports/metrics.js';
import type { WorkflowStore } from '../ports/workflow-store.js';
import type { Authorizer, Verdict } from './authorizer.js';

/** What an {@link Authorizer} is made of. */
export interface AuthorizerParts {
  readonly keys: KeyStore;
  readonly workflows: WorkflowStore;
  readonly catalogue: MethodCatalogue;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly usage: UsageRecorder;
  /** Whether a workflow that a request names must exist and belong to the key's account. */
  readonly enforceOwnership: boolean;
  /** Set when every valid key is known to carry a tag: a key without one is unknown, and no look-up is spent on it. */
  readonly requiredTags: KeyTags | null;
}

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
  private readonly catalogue: MethodCatalogue;
  private readonly clock: Clock;
  private readonly metrics: Metrics;
  private readonly usage: UsageRecorder;
  private readonly requiredTags: KeyTags | null;
  private readonly ownerAtFirst: OwnerFinding;

  constructor(parts: AuthorizerParts) {
    this.keys = parts.keys;
    this.workflows = parts.workflows;
    this.catalogue = parts.catalogue;
    this.clock = parts.clock;
    this.metrics = parts.metrics;
    this.usage = parts.usage;
    this.requiredTags = parts.requiredTags;
    this.ownerAtFirst = parts.enforceOwnership ? OWNER_NOT_READ : OWNERSHIP_NOT_ENFORCED;
  }

  authorize(surface: Surface, rawKey: string, workflowId: string, method: string): Awaitable<Verdict> {
    const startedMs = this.clock.monotonicMs();
    const entry = this.catalogue.find(method);
    if (!isWellFormedRawKey(rawKey)) return this.answer(surface, startedMs, Reason.KEY_MALFORMED, null, entry, 0);
    let key: Awaitable<KeyRecord | null>;
    try {
      const keyHash = hashRawKey(rawKey);
      key = this.requiredTags === null ? this.keys.find(keyHash) : this.findTagged(this.requiredTags, rawKey, keyHash);
    } catch (error) {
      throw this.undecided(surface, error);
    }
    if (key instanceof Promise) return this.decideLater(surface, startedMs, key, workflowId, entry);
    return this.decideWithKey(surface, startedMs, key, workflowId, entry);
  }

  private findTagged(tags: KeyTags, rawKey: string, keyHash: KeyHash): Awaitable<KeyRecord | null> {
    // What is in memory was found by a tagged key, so that hits are spared the tag, which costs more than the hash.
    const known = this.keys.peek?.(keyHash);
    if (known !== undefined) return known;
    return tags.verdict(rawKey) === 'valid' ? this.keys.find(keyHash) : null;
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
    return this.decideWithKey(surface, startedMs, key, workflowId, method);
  }

  private decideWithKey(
    surface: Surface,
    startedMs: number,
    key: KeyRecord | null,
    workflowId: string,
    method: MethodEntry | undefined,
  ): Awaitable<Verdict> {
    const nowMs = this.clock.wallMs();
    const reason = decide(key ?? KEY_ABSENT, this.ownerAtFirst, method, workflowId, nowMs);
    if (reason !== OWNER_NEEDED) return this.answer(surface, startedMs, reason, key, method, nowMs);
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
    return this.answer(surface, startedMs, final, key, method, nowMs);
  }

  private answer(
    surface: Surface,
    startedMs: number,
    reason: Reason,
    key: KeyRecord | null,
    method: MethodEntry | undefined,
    nowMs: number,
  ): Verdict {
    if (reason === Reason.GRANTED && key !== null) this.usage.record(key.id, nowMs);
    this.metrics.decision(surface, reason, (this.clock.monotonicMs() - startedMs) / 1000);
    return { reason, key: reasonCarriesIdentity(reason) ? key : null, method };
  }

  private undecided(surface: Surface, error: unknown): Failure {
    const failure = Failure.from(error);
    this.metrics.undecided(surface, failure.kind);
    return failure;
  }
}
