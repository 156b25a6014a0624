import type { KeyRecord } from '../domain/key-record.js';
import type { MethodEntry } from '../domain/method-entry.js';
import type { Reason } from '../domain/reason.js';
import type { Awaitable } from '../ports/awaitable.js';
import type { Surface } from '../ports/metrics.js';

/** A decision and what a transport needs to describe it. */
export interface Verdict {
  readonly reason: Reason;
  /** The key's record, or `null` when the reason carries no identity. */
  readonly key: KeyRecord | null;
  /** The catalogue's entry for the asked method, or `undefined` when it has none. */
  readonly method: MethodEntry | undefined;
}

/**
 * Answers one question: may the holder of this key call this method on this workflow?
 *
 * Contract:
 * - A denial is a value. A rejection (or throw) is a `Failure`: no decision could be made, and the caller must refuse.
 * - At once (not a promise) when everything needed is in memory under a valid lease.
 * - Counts the decision and its duration on `surface`, and notes the key's use when it was granted.
 */
export interface Authorizer {
  /** @param workflowId the workflow that the request names, or `''` */
  authorize(surface: Surface, rawKey: string, workflowId: string, method: string): Awaitable<Verdict>;
}
