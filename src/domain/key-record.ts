import type { PermissionSet } from './permissions.js';

/**
 * What a decision needs to know of one key, and nothing else: a million of these fit in memory.
 *
 * Immutable. All implementations create it with the same property order, so that V8 gives it one shape.
 */
export interface KeyRecord {
  /** UUID of the key, lower case. */
  readonly id: string;
  /** The account that owns the key. */
  readonly accountId: string;
  /** The one workflow the key may act on, or `''` when it may act on all of the account's. */
  readonly workflowId: string;
  /** What the key may do. */
  readonly permissions: PermissionSet;
  /** The published app that the key was minted for, or `''` for a user key. */
  readonly appId: string;
  /** When the key stops working, in ms since the Unix epoch; `Infinity` when it never does. */
  readonly expiresAtMs: number;
  /** Whether the key has been revoked. A revoked key stays revoked. */
  readonly revoked: boolean;
}

/** Reports whether the key was minted by publishing an app. */
export function isAppKey(record: KeyRecord): boolean {
  return record.appId !== '';
}
