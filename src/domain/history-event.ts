import type { KeyHash } from './raw-key.js';

/**
 * What a committed change did.
 *
 * - `key-created`, `key-changed`, `key-revoked`, `key-deleted`: of one key; `keyHash` is set (a change of the hash
 *   itself gives two events, one for each hash).
 * - `workflow-changed`: a workflow appeared, went, or changed hands; `workflowId` is set.
 * - `everything-changed`: the change cannot be named (TRUNCATE): forget all.
 *
 * A kind that a reader does not know must be treated as `everything-changed`.
 */
export type HistoryEventKind =
  | 'key-created'
  | 'key-changed'
  | 'key-revoked'
  | 'key-deleted'
  | 'workflow-changed'
  | 'everything-changed';

/** A place in the history of changes: a sequence number that grows by one in commit order, and its random token. */
export interface Position {
  readonly sequence: bigint;
  /** UUID that tells one history from another with the same numbers (after a failover or a restored backup). */
  readonly token: string;
}

/** One committed change that can alter a decision. */
export interface HistoryEvent extends Position {
  readonly kind: HistoryEventKind;
  readonly keyHash: KeyHash | null;
  readonly keyId: string | null;
  readonly workflowId: string | null;
  /** Account that the key belongs to; for watchers that follow one account. */
  readonly accountId: string | null;
  /** Published app that the key was minted for, if any. */
  readonly appId: string | null;
  /** Clock of the database when the event was numbered, in ms since the Unix epoch. For people and metrics only. */
  readonly atMs: number;
}
