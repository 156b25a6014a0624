import type { PermissionSet } from '../domain/permissions.js';
import type { KeyHash } from '../domain/raw-key.js';

/** A key as its owner sees it. Never holds the raw key or its hash. Times are ms since the Unix epoch. */
export interface KeyDetails {
  readonly id: string;
  readonly accountId: string;
  readonly name: string;
  readonly keyPrefix: string;
  /** `null`: all workflows of the account. */
  readonly workflowId: string | null;
  readonly permissions: PermissionSet;
  readonly appId: string | null;
  readonly createdAtMs: number;
  readonly lastUsedAtMs: number | null;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
}

/** Who did something, for the audit trail. */
export interface Actor {
  /** E.g. `account:dev`, `cli:root`, `service:spiffe://…`. */
  readonly name: string;
  /** Network address or other origin; `null` when unknown. */
  readonly origin: string | null;
}

/** A key to store; the raw key stays with the caller. */
export interface NewKey {
  readonly accountId: string;
  readonly name: string;
  readonly keyHash: KeyHash;
  readonly keyPrefix: string;
  readonly workflowId: string | null;
  readonly permissions: PermissionSet;
  readonly expiresAtMs: number | null;
}

/** The secret half of a key that is about to replace another. */
export type ReplacementKey = Pick<NewKey, 'keyHash' | 'keyPrefix'>;

/** Which keys to list. */
export interface KeyListQuery {
  readonly accountId: string;
  readonly includeRevoked: boolean;
  /** 1 to 1000. */
  readonly limit: number;
  /** Continue after this key; from `nextAfter` of the page before. */
  readonly after: KeyCursor | null;
}

/** A place in a list that is ordered by creation, newest first, then by id. */
export interface KeyCursor {
  /** Microseconds since the Unix epoch, as a decimal string: the database's own precision. */
  readonly createdAtUs: string;
  readonly id: string;
}

export interface KeyPage {
  readonly keys: readonly KeyDetails[];
  /** `null` on the last page. */
  readonly nextAfter: KeyCursor | null;
}

export interface RevokedKey {
  readonly key: KeyDetails;
  /** The key had been revoked before. The caller still waits for the barrier. */
  readonly alreadyRevoked: boolean;
  readonly committedAtMs: number;
}

export interface RotatedKey {
  readonly replacement: KeyDetails;
  readonly old: KeyDetails;
  readonly committedAtMs: number;
}

export interface MintedAppKey {
  readonly keyId: string;
  /** Keys of the same app that died in the same transaction (overlap 0) or were given an expiry. */
  readonly replaced: number;
  /** Whether the app never had a key before, not even one that is dead. */
  readonly first: boolean;
  readonly committedAtMs: number;
}

/** One line of a key's audit trail. */
export interface KeyAuditEntry {
  readonly atMs: number;
  /** `created`, `rotated`, `revoked`, `minted`, … */
  readonly action: string;
  readonly keyId: string;
  readonly accountId: string;
  readonly actor: string;
  readonly origin: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

/** A workflow of an account. */
export interface WorkflowSummary {
  readonly id: string;
  readonly name: string;
}

/**
 * Creates, lists and revokes keys in the database.
 *
 * Contract, for every change: one transaction, audit row included; `synchronous_commit` at least `on`; retried on
 * deadlock (40P01) and serialization failure (40001); resolves only after COMMIT was confirmed, and a COMMIT that came
 * back with a replication warning is not. A rejection with `unavailable` leaves it unknown whether it happened.
 * An id that is not a UUID is `not-found`, not an error of the database.
 */
export interface KeyRegistry {
  /** Rejects `not-found` (workflow not the account's), `limit-reached` (`maxActive` active user keys already). */
  create(key: NewKey, actor: Actor, maxActive: number): Promise<KeyDetails>;
  list(query: KeyListQuery): Promise<KeyPage>;
  /** User keys of the account only; `null` account: any user or app key (CLI). Rejects `not-found`. */
  revoke(keyId: string, accountId: string | null, actor: Actor): Promise<RevokedKey>;
  /**
   * Stores a replacement with the old key's name, scope, permissions and expiry; the old key is revoked in the same
   * transaction (`overlapMs` 0) or expires after the overlap, never later than it would have. The expiry is the one from
   * before any earlier overlap. Rejects `not-found`, `conflict` (revoked or expired already), `limit-reached`.
   */
  rotate(
    keyId: string,
    accountId: string | null,
    replacement: ReplacementKey,
    overlapMs: number,
    actor: Actor,
    maxActive: number,
  ): Promise<RotatedKey>;
  /** Mints for an app; all its older keys die as in `rotate`. Rejects `not-found` for a workflow not the account's. */
  mintAppKey(key: NewKey, appId: string, overlapMs: number, actor: Actor): Promise<MintedAppKey>;
  /** Revokes every key of an app; idempotent. */
  revokeAppKeys(appId: string, actor: Actor): Promise<{ readonly revoked: number; readonly committedAtMs: number }>;
  /** The audit trail of one key, oldest first. Rejects `not-found`. */
  history(keyId: string): Promise<readonly KeyAuditEntry[]>;
  /** Workflows of an account by name. */
  workflows(accountId: string): Promise<readonly WorkflowSummary[]>;
}
