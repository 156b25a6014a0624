import type { HistoryEvent, HistoryEventKind } from '../../../src/domain/history-event.js';
import type { KeyRecord } from '../../../src/domain/key-record.js';
import type { MethodEntry } from '../../../src/domain/method-entry.js';
import { ALL_PERMISSIONS, Permission } from '../../../src/domain/permissions.js';
import { hashRawKey, type KeyHash, RAW_KEY_PREFIX } from '../../../src/domain/raw-key.js';

/** A well-formed raw key that is different for each number, and always the same for one. */
export function rawKeyOf(number: number): string {
  return RAW_KEY_PREFIX + number.toString(16).padStart(64, '0');
}

/** The hash of `rawKeyOf(number)`. */
export function keyHashOf(number: number): KeyHash {
  return hashRawKey(rawKeyOf(number));
}

/** A key that is allowed everything in its account; say only what matters. */
export function keyRecord(given: Partial<KeyRecord> = {}): KeyRecord {
  return {
    id: given.id ?? '11111111-1111-4111-8111-111111111111',
    accountId: given.accountId ?? 'account-a',
    workflowId: given.workflowId ?? '',
    permissions: given.permissions ?? ALL_PERMISSIONS,
    appId: given.appId ?? '',
    expiresAtMs: given.expiresAtMs ?? Number.POSITIVE_INFINITY,
    revoked: given.revoked ?? false,
  };
}

/** A method that reads a workflow. */
export function methodEntry(given: Partial<MethodEntry> = {}): MethodEntry {
  return {
    name: given.name ?? 'nodes.list',
    permission: given.permission ?? Permission.READ,
    target: given.target ?? 'workflow',
    apps: given.apps ?? true,
    scopedWithoutWorkflow: given.scopedWithoutWorkflow ?? false,
  };
}

/** An event of one kind; its sequence defaults to 1. */
export function historyEvent(kind: HistoryEventKind, given: Partial<HistoryEvent> = {}): HistoryEvent {
  return {
    sequence: 1n,
    token: '00000000-0000-4000-8000-00000000000a',
    keyHash: null,
    keyId: null,
    workflowId: null,
    accountId: null,
    appId: null,
    atMs: 0,
    ...given,
    kind,
  };
}
