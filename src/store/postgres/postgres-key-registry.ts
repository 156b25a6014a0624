import { Failure } from '../../domain/failure.js';
import { permissionNames } from '../../domain/permissions.js';
import { keyHashToBytes } from '../../domain/raw-key.js';
import type {
  Actor,
  KeyAuditEntry,
  KeyDetails,
  KeyListQuery,
  KeyPage,
  KeyRegistry,
  MintedAppKey,
  NewKey,
  ReplacementKey,
  RevokedKey,
  RotatedKey,
  WorkflowSummary,
} from '../../ports/key-registry.js';
import {
  COUNT_ACTIVE_KEYS,
  FIND_KEY_SUBJECT,
  FIRST_ROTATION,
  HAS_APP_KEYS,
  INSERT_AUDIT,
  INSERT_KEY,
  LIST_KEYS,
  LIST_WORKFLOWS,
  LOCK_APP_KEYS,
  LOCK_KEY,
  LOCK_SUBJECT,
  OWNS_WORKFLOW,
  READ_AUDIT,
  REVOKE_KEY,
  REVOKE_KEYS,
  SEAL,
  SHORTEN_EXPIRY,
} from './queries.js';
import {
  auditEntryOf,
  booleanOf,
  isStorable,
  isUuid,
  keyDetailsOf,
  nullableNumberOf,
  nullableTextOf,
  numberOf,
  textOf,
} from './rows.js';
import type { QueryRunner, Row, RunStatement } from './run-query.js';

/** Actions of the audit trail, as the schema lists them. */
type AuditAction = 'created' | 'rotated' | 'revoked' | 'minted';

/** Whose key an audit line is about. */
type Subject = Pick<KeyDetails, 'id' | 'accountId'>;

/**
 * Manages keys in `latchkey.api_keys`. Triggers of the schema write the history; nothing here does.
 *
 * Locks are taken in one order everywhere, subject (account or app), key rows, head, so that its own transactions do
 * not deadlock with one another.
 */
export class PostgresKeyRegistry implements KeyRegistry {
  constructor(private readonly runner: QueryRunner) {}

  create(key: NewKey, actor: Actor, maxActive: number): Promise<KeyDetails> {
    return this.runner.transact('create_key', async (run) => {
      await requireWorkflow(run, key);
      await requireRoom(run, key.accountId, null, maxActive);
      const created = await insertKey(run, key, null);
      await audit(run, 'created', [created], actor, { permissions: permissionNames(created.permissions) });
      return created;
    });
  }

  async list({ accountId, includeRevoked, limit, after }: KeyListQuery): Promise<KeyPage> {
    if (!isStorable(accountId)) return { keys: [], nextAfter: null };
    if (after !== null && !(isUuid(after.id) && /^-?\d{1,17}$/.test(after.createdAtUs))) {
      throw new Failure('invalid-argument', 'The cursor is not one that this list gave.');
    }
    // One more than asked for tells whether there is a next page.
    const rows = await this.runner.run(LIST_KEYS, [
      accountId,
      includeRevoked,
      limit + 1,
      after?.createdAtUs ?? null,
      after?.id ?? null,
    ]);
    const page = rows.slice(0, limit);
    const last = rows.length > limit ? page.at(-1) : undefined;
    return {
      keys: page.map(keyDetailsOf),
      nextAfter: last === undefined ? null : { createdAtUs: textOf(last, 'created_at_us'), id: textOf(last, 'id') },
    };
  }

  revoke(keyId: string, accountId: string | null, actor: Actor): Promise<RevokedKey> {
    return this.runner.transact('revoke_key', async (run) => {
      const [row] = canExist(keyId, accountId)
        ? await run(REVOKE_KEY, [keyId, accountId, actor.name, actor.origin])
        : [];
      if (row === undefined) throw keyNotFound();
      const key = keyDetailsOf(row);
      if (key.revokedAtMs === null) throw keptUnrevoked();
      return { key, alreadyRevoked: !booleanOf(row, 'revoked_now'), committedAtMs: key.revokedAtMs };
    });
  }

  rotate(
    keyId: string,
    accountId: string | null,
    replacement: ReplacementKey,
    overlapMs: number,
    actor: Actor,
    maxActive: number,
  ): Promise<RotatedKey> {
    return this.runner.transact('rotate_key', async (run) => {
      // Found first without a lock: the subject's lock comes before the row's.
      const [seen] = isUuid(keyId) ? await run(FIND_KEY_SUBJECT, [keyId]) : [];
      if (seen !== undefined && (accountId === null || textOf(seen, 'account_id') === accountId)) {
        await run(LOCK_SUBJECT, [subjectOf(seen)]);
      }
      const { key, expired } = await lockKey(run, keyId, accountId);
      if (key.revokedAtMs !== null) throw new Failure('conflict', 'The key has been revoked.');
      if (expired) throw new Failure('conflict', 'The key has expired.');
      // A key that dies in the same transaction leaves its place to its successor.
      if (key.appId === null) await requireRoom(run, key.accountId, overlapMs === 0 ? key.id : null, maxActive);
      const { keyHash, keyPrefix } = replacement;
      const created = await insertKey(
        run,
        { ...key, keyHash, keyPrefix, expiresAtMs: await lifeOf(run, key) },
        key.appId,
      );
      const [old = key] = await retire(run, [key.id], overlapMs, actor);
      await audit(run, 'rotated', [old], actor, {
        replacedBy: created.id,
        overlapMs,
        expiresAtMs: created.expiresAtMs,
      });
      await audit(run, 'created', [created], actor, { replaces: old.id });
      return { replacement: created, old, committedAtMs: old.revokedAtMs ?? (await seal(run)) };
    });
  }

  mintAppKey(key: NewKey, appId: string, overlapMs: number, actor: Actor): Promise<MintedAppKey> {
    requireStorable(appId, 'The app');
    return this.runner.transact('mint_app_key', async (run) => {
      await run(LOCK_SUBJECT, [`app:${appId}`]);
      await requireWorkflow(run, key);
      const [before] = await run(HAS_APP_KEYS, [appId]);
      // Expired is by this clock; a sidecar's may be behind. What shall be dead is revoked.
      const older = (await run(LOCK_APP_KEYS, [appId]))
        .filter((row) => overlapMs === 0 || !booleanOf(row, 'expired'))
        .map((row) => textOf(row, 'id'));
      const minted = await insertKey(run, key, appId);
      const replaced = await retire(run, older, overlapMs, actor);
      await audit(run, 'rotated', replaced, actor, { appId, replacedBy: minted.id, overlapMs });
      await audit(run, 'minted', [minted], actor, { appId, permissions: permissionNames(minted.permissions) });
      return {
        keyId: minted.id,
        replaced: replaced.length,
        first: before !== undefined && !booleanOf(before, 'any'),
        committedAtMs: await seal(run),
      };
    });
  }

  revokeAppKeys(appId: string, actor: Actor): Promise<{ readonly revoked: number; readonly committedAtMs: number }> {
    requireStorable(appId, 'The app');
    return this.runner.transact('revoke_app_keys', async (run) => {
      // A publication that is under way is over before this looks, or begins after it.
      await run(LOCK_SUBJECT, [`app:${appId}`]);
      const ids = (await run(LOCK_APP_KEYS, [appId])).map((row) => textOf(row, 'id'));
      const revoked = await retire(run, ids, 0, actor);
      await audit(run, 'revoked', revoked, actor, { appId });
      return { revoked: revoked.length, committedAtMs: await seal(run) };
    });
  }

  async history(keyId: string): Promise<readonly KeyAuditEntry[]> {
    if (!isUuid(keyId)) throw keyNotFound();
    const entries = (await this.runner.run(READ_AUDIT, [keyId])).map(auditEntryOf);
    // A key that plain SQL wrote has no trail, but exists.
    if (entries.length === 0 && (await this.runner.run(FIND_KEY_SUBJECT, [keyId])).length === 0) throw keyNotFound();
    return entries;
  }

  async workflows(accountId: string): Promise<readonly WorkflowSummary[]> {
    if (!isStorable(accountId)) return [];
    const rows = await this.runner.run(LIST_WORKFLOWS, [accountId]);
    return rows.map((row) => ({ id: textOf(row, 'id'), name: textOf(row, 'name') }));
  }
}

function keyNotFound(): Failure {
  return new Failure('not-found', 'There is no such key.');
}

/** Somebody's own trigger may keep a row as it was: that must not pass for a revocation. */
function keptUnrevoked(): Failure {
  return new Failure('unavailable', 'The database did not revoke the key.');
}

function requireStorable(value: string, what: string): void {
  if (value === '' || !isStorable(value)) {
    throw new Failure('invalid-argument', `${what} must be named by text without NUL characters.`);
  }
}

async function requireWorkflow(run: RunStatement, { accountId, workflowId }: NewKey): Promise<void> {
  requireStorable(accountId, 'The account');
  if (workflowId === null) return;
  const owned = isStorable(workflowId) && (await run(OWNS_WORKFLOW, [workflowId, accountId])).length > 0;
  if (!owned) throw new Failure('not-found', 'There is no such workflow.');
}

/** Rejects when the account has `maxActive` active keys, `exceptId` not counted; holds others off until the commit. */
async function requireRoom(
  run: RunStatement,
  accountId: string,
  exceptId: string | null,
  maxActive: number,
): Promise<void> {
  await run(LOCK_SUBJECT, [`account:${accountId}`]);
  const [row] = await run(COUNT_ACTIVE_KEYS, [accountId, exceptId]);
  if (row === undefined || numberOf(row, 'active') >= maxActive) {
    throw new Failure('limit-reached', `The account already has ${maxActive} active keys; revoke one first.`);
  }
}

/** Whether the database could hold such a key at all; it refuses to be asked for another. */
function canExist(keyId: string, accountId: string | null): boolean {
  return isUuid(keyId) && (accountId === null || isStorable(accountId));
}

async function lockKey(run: RunStatement, keyId: string, accountId: string | null) {
  const [row] = canExist(keyId, accountId) ? await run(LOCK_KEY, [keyId, accountId]) : [];
  if (row === undefined) throw keyNotFound();
  return { key: keyDetailsOf(row), expired: booleanOf(row, 'expired') };
}

async function insertKey(run: RunStatement, key: NewKey, appId: string | null): Promise<KeyDetails> {
  return onlyKey(
    await run(INSERT_KEY, [
      key.accountId,
      key.name,
      keyHashToBytes(key.keyHash),
      key.keyPrefix,
      key.workflowId,
      permissionNames(key.permissions),
      appId,
      key.expiresAtMs,
    ]),
  );
}

/** Ends keys, at once or after an overlap; answers those that changed: at once, all, or nothing is done. */
async function retire(
  run: RunStatement,
  ids: readonly string[],
  overlapMs: number,
  { name }: Actor,
): Promise<KeyDetails[]> {
  if (overlapMs > 0) return (await run(SHORTEN_EXPIRY, [ids, overlapMs])).map(keyDetailsOf);
  const rows = await run(REVOKE_KEYS, [ids, name]);
  // They are locked, and were not revoked.
  if (rows.length !== ids.length) throw keptUnrevoked();
  return rows.map(keyDetailsOf);
}

/** When a key would have ended had it not been rotated: its replacement's expiry. A lost replacement can be made again. */
async function lifeOf(run: RunStatement, key: KeyDetails): Promise<number | null> {
  const [earlier] = await run(FIRST_ROTATION, [key.id]);
  return earlier === undefined ? key.expiresAtMs : nullableNumberOf(earlier, 'expires_at_ms');
}

/** What {@link LOCK_SUBJECT} locks for a key: its app, or else its account. */
function subjectOf(row: Row): string {
  const appId = nullableTextOf(row, 'app_id');
  return appId === null ? `account:${textOf(row, 'account_id')}` : `app:${appId}`;
}

function onlyKey(rows: readonly Row[]): KeyDetails {
  const [row] = rows;
  if (row === undefined) throw keyNotFound();
  return keyDetailsOf(row);
}

async function audit(
  run: RunStatement,
  action: AuditAction,
  keys: readonly Subject[],
  { name, origin }: Actor,
  details: Readonly<Record<string, unknown>>,
): Promise<void> {
  if (keys.length === 0) return;
  const ids = keys.map((key) => key.id);
  const accounts = keys.map((key) => key.accountId);
  await run(INSERT_AUDIT, [action, ids, accounts, name, origin, JSON.stringify(details)]);
}

/** Makes the commit cover what the transaction has only seen; the time is the database's, ms since the Unix epoch. */
async function seal(run: RunStatement): Promise<number> {
  const [row] = await run(SEAL);
  return row === undefined ? 0 : numberOf(row, 'now_ms');
}
