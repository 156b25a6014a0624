import type { PermissionSet } from '../domain/permissions.js';
import { hashRawKey, keyPrefixOf } from '../domain/raw-key.js';
import type { Barrier, Receipt } from '../ports/barrier.js';
import type {
  Actor,
  KeyAuditEntry,
  KeyDetails,
  KeyListQuery,
  KeyPage,
  KeyRegistry,
  WorkflowSummary,
} from '../ports/key-registry.js';
import type { Logger } from '../ports/logger.js';

/** Longest time, in ms, that a creation waits for every sidecar to know the key (R2 holds after it all the same). */
export const CREATION_SETTLE_MS = 250;

/** What a person chooses for a new key; already validated by the transport. */
export interface KeyChoices {
  readonly name: string;
  readonly workflowId: string | null;
  readonly permissions: PermissionSet;
  readonly expiresAtMs: number | null;
}

/** A new key, with the only copy of its raw key. */
export interface CreatedKey {
  readonly key: KeyDetails;
  readonly rawKey: string;
}

/** A revocation that is enforced everywhere. */
export interface ConfirmedRevocation {
  readonly key: KeyDetails;
  readonly alreadyRevoked: boolean;
  readonly receipt: Receipt;
}

/** A replacement key, and the proof about the old one when it died at once. */
export interface RotatedUserKey extends CreatedKey {
  readonly old: KeyDetails;
  /** `null` when the old key lives on for an overlap. */
  readonly receipt: Receipt | null;
}

/** What {@link KeyService} is made of. */
export interface KeyServiceParts {
  readonly registry: KeyRegistry;
  readonly barrier: Barrier;
  readonly logger: Logger;
  readonly mintRawKey: () => string;
  /** Most active user keys an account may have. */
  readonly maxActiveKeys: number;
}

/**
 * Creates, lists, revokes and rotates user keys. A revocation resolves only after the barrier: from then on no sidecar
 * anywhere accepts the key. Rejects with the `Failure`s of `KeyRegistry`, and `unconfirmed` from the barrier.
 */
export class KeyService {
  constructor(private readonly parts: KeyServiceParts) {}

  async create(accountId: string, choices: KeyChoices, actor: Actor): Promise<CreatedKey> {
    const rawKey = this.parts.mintRawKey();
    const key = await this.parts.registry.create(
      { accountId, ...choices, keyHash: hashRawKey(rawKey), keyPrefix: keyPrefixOf(rawKey) },
      actor,
      this.parts.maxActiveKeys,
    );
    await this.parts.barrier.settle(CREATION_SETTLE_MS);
    this.parts.logger.info('key created', { keyId: key.id, accountId: key.accountId, actor: actor.name });
    return { key, rawKey };
  }

  list(query: KeyListQuery): Promise<KeyPage> {
    return this.parts.registry.list(query);
  }

  workflows(accountId: string): Promise<readonly WorkflowSummary[]> {
    return this.parts.registry.workflows(accountId);
  }

  history(keyId: string): Promise<readonly KeyAuditEntry[]> {
    return this.parts.registry.history(keyId);
  }

  /** @param accountId the caller's account, or `null` for an operator who may revoke any key */
  async revoke(keyId: string, accountId: string | null, actor: Actor): Promise<ConfirmedRevocation> {
    const { key, alreadyRevoked, committedAtMs } = await this.parts.registry.revoke(keyId, accountId, actor);
    // Also when it was revoked before: whoever did that may have died before it was confirmed to anyone.
    const receipt = await this.parts.barrier.confirm({ committedAtMs });
    this.parts.logger.info('key revoked', {
      keyId: key.id,
      accountId: key.accountId,
      actor: actor.name,
      alreadyRevoked,
      receipt,
    });
    return { key, alreadyRevoked, receipt };
  }

  /** @param overlapMs how long the old key lives on; 0: it dies in the same transaction, proven by the receipt */
  async rotate(keyId: string, accountId: string | null, overlapMs: number, actor: Actor): Promise<RotatedUserKey> {
    const rawKey = this.parts.mintRawKey();
    const { replacement, old, committedAtMs } = await this.parts.registry.rotate(
      keyId,
      accountId,
      { keyHash: hashRawKey(rawKey), keyPrefix: keyPrefixOf(rawKey) },
      overlapMs,
      actor,
      this.parts.maxActiveKeys,
    );
    // With an overlap too: a shortened expiry is a change that caches must learn of.
    const receipt = await this.parts.barrier.confirm({ committedAtMs });
    this.parts.logger.info('key rotated', {
      keyId: old.id,
      replacementId: replacement.id,
      accountId: old.accountId,
      actor: actor.name,
      overlapMs,
      receipt,
    });
    return { key: replacement, rawKey, old, receipt: overlapMs === 0 ? receipt : null };
  }
}
