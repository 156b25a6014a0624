import type { HistoryEvent, HistoryEventKind, Position } from '../../domain/history-event.js';
import type { KeyRecord } from '../../domain/key-record.js';
import { ALL_PERMISSIONS, type PermissionSet, permissionNames, permissionSet } from '../../domain/permissions.js';
import { type KeyHash, keyHashFromBytes } from '../../domain/raw-key.js';
import type { KeyAuditEntry, KeyDetails } from '../../ports/key-registry.js';
import type { Row } from './run-query.js';

/** A row does not have the shape that the schema promises. Names the column, never its value. */
export class UnexpectedRow extends Error {
  override readonly name = 'UnexpectedRow';

  constructor(column: string) {
    super(`column ${column} does not hold what the schema promises`);
  }
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Reports whether `value` is a UUID in its usual form; anything else cannot be the id of a row. */
export function isUuid(value: string): boolean {
  return UUID.test(value);
}

/**
 * Reports whether PostgreSQL can hold `value` as it is: no NUL, which it refuses, and no lone surrogate, which the
 * driver would turn into another string. What cannot be held does not exist.
 */
export function isStorable(value: string): boolean {
  return !/[\0\p{Cs}]/u.test(value);
}

/** A text column that must not be NULL. */
export function textOf(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw new UnexpectedRow(column);
  return value;
}

/** A text column, or `null`. */
export function nullableTextOf(row: Row, column: string): string | null {
  return row[column] === null ? null : textOf(row, column);
}

/** A float8 column that must not be NULL; may be infinite, never NaN. */
export function numberOf(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== 'number' || Number.isNaN(value)) throw new UnexpectedRow(column);
  return value;
}

/** A float8 column, or `null`. */
export function nullableNumberOf(row: Row, column: string): number | null {
  return row[column] === null ? null : numberOf(row, column);
}

/** A boolean column that must not be NULL. */
export function booleanOf(row: Row, column: string): boolean {
  const value = row[column];
  if (typeof value !== 'boolean') throw new UnexpectedRow(column);
  return value;
}

/** A bigint column that must not be NULL; the driver leaves it a string, because a number could not hold it. */
export function bigintOf(row: Row, column: string): bigint {
  const value = row[column];
  if (typeof value !== 'string' || !/^-?\d+$/.test(value)) throw new UnexpectedRow(column);
  return BigInt(value);
}

function bytesOf(row: Row, column: string): Buffer {
  const value = row[column];
  if (!Buffer.isBuffer(value)) throw new UnexpectedRow(column);
  return value;
}

function keyHashOf(row: Row, column: string): KeyHash {
  const bytes = bytesOf(row, column);
  if (bytes.length !== 32) throw new UnexpectedRow(column);
  return keyHashFromBytes(bytes);
}

// PostgreSQL's text form of each set that the schema allows, e.g. {read,write}: a look-up instead of a parser.
const SET_OF_TEXT = new Map<string, PermissionSet>(
  Array.from({ length: ALL_PERMISSIONS + 1 }, (_, set) => [`{${permissionNames(set).join(',')}}`, set]),
);

/** Permissions from the text form of a text[]. A name that is no permission adds nothing. */
function permissionsOf(row: Row, column: string): PermissionSet {
  const text = textOf(row, column);
  return SET_OF_TEXT.get(text) ?? permissionSet(text.slice(1, -1).split(','));
}

/** The hash and the record of a row of FIND_KEYS. Throws {@link UnexpectedRow}. */
export function keyRecordOf(row: Row): { readonly keyHash: KeyHash; readonly record: KeyRecord } {
  return {
    keyHash: keyHashOf(row, 'key_hash'),
    // The order of these properties is that of KeyRecord everywhere.
    record: {
      id: textOf(row, 'id'),
      accountId: textOf(row, 'account_id'),
      workflowId: nullableTextOf(row, 'workflow_id') ?? '',
      permissions: permissionsOf(row, 'permissions'),
      appId: nullableTextOf(row, 'app_id') ?? '',
      expiresAtMs: nullableNumberOf(row, 'expires_at_ms') ?? Number.POSITIVE_INFINITY,
      revoked: booleanOf(row, 'revoked'),
    },
  };
}

/** A key as its owner sees it, from the columns of a detail query. Throws {@link UnexpectedRow}. */
export function keyDetailsOf(row: Row): KeyDetails {
  const expiresAtMs = nullableNumberOf(row, 'expires_at_ms');
  return {
    id: textOf(row, 'id'),
    accountId: textOf(row, 'account_id'),
    name: textOf(row, 'name'),
    keyPrefix: textOf(row, 'key_prefix'),
    workflowId: nullableTextOf(row, 'workflow_id'),
    permissions: permissionsOf(row, 'permissions'),
    appId: nullableTextOf(row, 'app_id'),
    createdAtMs: Math.floor(numberOf(row, 'created_at_ms')),
    lastUsedAtMs: floorOf(nullableNumberOf(row, 'last_used_at_ms')),
    expiresAtMs: expiresAtMs === Number.POSITIVE_INFINITY ? null : floorOf(expiresAtMs),
    revokedAtMs: floorOf(nullableNumberOf(row, 'revoked_at_ms')),
  };
}

function floorOf(value: number | null): number | null {
  return value === null ? null : Math.floor(value);
}

const KINDS: ReadonlySet<string> = new Set<HistoryEventKind>([
  'key-created',
  'key-changed',
  'key-revoked',
  'key-deleted',
  'workflow-changed',
  'everything-changed',
]);

/**
 * An event from EVENT_COLUMNS, or `null` where the outer join found none.
 *
 * A kind that this program does not know, or an event that does not name what its kind should name, counts as
 * `everything-changed`: forgetting too much is safe.
 */
export function historyEventOf(row: Row): HistoryEvent | null {
  if (row.event_sequence === null) return null;
  const kind = textOf(row, 'kind');
  const hash = row.key_hash;
  const keyHash = Buffer.isBuffer(hash) && hash.length === 32 ? keyHashFromBytes(hash) : null;
  const workflowId = nullableTextOf(row, 'workflow_id');
  const named = kind === 'workflow-changed' ? workflowId !== null : kind === 'everything-changed' || keyHash !== null;
  return {
    sequence: bigintOf(row, 'event_sequence'),
    token: textOf(row, 'event_token'),
    kind: KINDS.has(kind) && named ? (kind as HistoryEventKind) : 'everything-changed',
    keyHash,
    keyId: nullableTextOf(row, 'key_id'),
    workflowId,
    accountId: nullableTextOf(row, 'account_id'),
    appId: nullableTextOf(row, 'app_id'),
    atMs: numberOf(row, 'at_ms'),
  };
}

/** The head's position, or `null` where there is no head. */
export function headOf(row: Row): Position | null {
  if (row.sequence === null) return null;
  return { sequence: bigintOf(row, 'sequence'), token: textOf(row, 'token') };
}

/** A line of the audit trail. */
export function auditEntryOf(row: Row): KeyAuditEntry {
  const details = row.details;
  return {
    atMs: Math.floor(numberOf(row, 'at_ms')),
    action: textOf(row, 'action'),
    keyId: textOf(row, 'key_id'),
    accountId: textOf(row, 'account_id'),
    actor: textOf(row, 'actor'),
    origin: nullableTextOf(row, 'origin'),
    details: typeof details === 'object' && details !== null ? (details as Record<string, unknown>) : {},
  };
}
