import { KEY_NAME_MAX } from '../domain/key-name.js';
import type { PermissionSet } from '../domain/permissions.js';
import { hashRawKey, keyPrefixOf } from '../domain/raw-key.js';
import type { Barrier, Receipt } from '../ports/barrier.js';
import type { Actor, KeyRegistry } from '../ports/key-registry.js';
import type { Logger } from '../ports/logger.js';
import { CREATION_SETTLE_MS } from './keys.js';

/** A key to mint for a published app. */
export interface AppKeyOrder {
  readonly appId: string;
  readonly accountId: string;
  /** The workflow the app runs, or `null` for all of the account's. */
  readonly workflowId: string | null;
  readonly permissions: PermissionSet;
  /** How long older keys of the app live on; 0: they die in the same transaction. */
  readonly overlapMs: number;
}

/** What {@link AppKeyService} is made of. */
export interface AppKeyServiceParts {
  readonly registry: KeyRegistry;
  readonly barrier: Barrier;
  readonly logger: Logger;
  readonly mintRawKey: () => string;
}

/** Mints and revokes the keys of published apps. Rejects with the `Failure`s of `KeyRegistry` and of the barrier. */
export class AppKeyService {
  constructor(private readonly parts: AppKeyServiceParts) {}

  /**
   * Resolves after the barrier when the app had a key before, also when that was dead already: whoever revoked it may
   * never have had it confirmed. The first key of an app waits as a creation does.
   */
  async mint(order: AppKeyOrder, actor: Actor): Promise<{ readonly keyId: string; readonly rawKey: string }> {
    const rawKey = this.parts.mintRawKey();
    const { keyId, replaced, first, committedAtMs } = await this.parts.registry.mintAppKey(
      {
        accountId: order.accountId,
        name: Array.from(`App ${order.appId}`).slice(0, KEY_NAME_MAX).join(''),
        keyHash: hashRawKey(rawKey),
        keyPrefix: keyPrefixOf(rawKey),
        workflowId: order.workflowId,
        permissions: order.permissions,
        expiresAtMs: null,
      },
      order.appId,
      order.overlapMs,
      actor,
    );
    const receipt = first ? null : await this.parts.barrier.confirm({ committedAtMs });
    if (receipt === null) await this.parts.barrier.settle(CREATION_SETTLE_MS);
    this.parts.logger.info('app key minted', { appId: order.appId, keyId, replaced, actor: actor.name, receipt });
    return { keyId, rawKey };
  }

  /** Idempotent; resolves after the barrier, also when nothing was left to revoke. */
  async revokeAll(appId: string, actor: Actor): Promise<{ readonly revoked: number; readonly receipt: Receipt }> {
    const { revoked, committedAtMs } = await this.parts.registry.revokeAppKeys(appId, actor);
    const receipt = await this.parts.barrier.confirm({ committedAtMs });
    this.parts.logger.info('app keys revoked', { appId, revoked, actor: actor.name, receipt });
    return { revoked, receipt };
  }
}
