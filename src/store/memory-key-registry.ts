import { randomUUID } from 'node:crypto';
import { Failure } from '../domain/failure.js';
import type { Clock } from '../ports/clock.js';
import type {
  Actor,
  KeyAuditEntry,
  KeyCursor,
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
} from '../ports/key-registry.js';

/** A workflow and its owner. */
export interface OwnedWorkflow extends WorkflowSummary {
  readonly accountId: string;
}

interface Row {
  details: KeyDetails;
  readonly keyHash: string;
  readonly createdAtUs: bigint;
  /** Its expiry before it was first rotated; absent: it was not. */
  lifeEndsAtMs?: number | null;
}

/**
 * A {@link KeyRegistry} in memory: the port's contract in its shortest form, for tests and for reading.
 *
 * Each call runs to its end in one turn of the event loop, which is what a transaction gives elsewhere.
 */
export class MemoryKeyRegistry implements KeyRegistry {
  private readonly rows = new Map<string, Row>();
  private readonly audit: KeyAuditEntry[] = [];
  private readonly owned: OwnedWorkflow[];
  private lastCreatedAtUs = 0n;

  constructor(
    private readonly clock: Clock,
    workflows: readonly OwnedWorkflow[] = [],
  ) {
    this.owned = [...workflows];
  }

  async create(key: NewKey, actor: Actor, maxActive: number): Promise<KeyDetails> {
    this.requireWorkflow(key);
    this.requireRoom(key.accountId, maxActive);
    return this.insert(key, null, 'created', actor, {});
  }

  async list({ accountId, includeRevoked, limit, after }: KeyListQuery): Promise<KeyPage> {
    const listed = [...this.rows.values()]
      .filter(({ details }) => details.accountId === accountId && details.appId === null)
      .filter(({ details }) => includeRevoked || details.revokedAtMs === null)
      .sort(newestFirst)
      .filter((row) => after === null || newestFirst(row, placeOf(after)) > 0);
    const page = listed.slice(0, limit);
    const last = page.at(-1);
    return {
      keys: page.map(({ details }) => details),
      nextAfter:
        last !== undefined && listed.length > page.length
          ? { createdAtUs: String(last.createdAtUs), id: last.details.id }
          : null,
    };
  }

  async revoke(keyId: string, accountId: string | null, actor: Actor): Promise<RevokedKey> {
    const row = this.requireKey(keyId, accountId);
    const alreadyRevoked = row.details.revokedAtMs !== null;
    if (!alreadyRevoked) this.markRevoked(row, actor, 'revoked', {});
    return { key: row.details, alreadyRevoked, committedAtMs: row.details.revokedAtMs ?? this.clock.wallMs() };
  }

  async rotate(
    keyId: string,
    accountId: string | null,
    replacement: ReplacementKey,
    overlapMs: number,
    actor: Actor,
    maxActive: number,
  ): Promise<RotatedKey> {
    const row = this.requireKey(keyId, accountId);
    const old = row.details;
    if (!this.isActive(old)) throw new Failure('conflict', 'The key is revoked or expired already.');
    // A key that dies in the same step leaves its place to its successor.
    if (old.appId === null) this.requireRoom(old.accountId, overlapMs === 0 ? maxActive + 1 : maxActive);
    const inserted = this.insert(
      {
        accountId: old.accountId,
        name: old.name,
        workflowId: old.workflowId,
        permissions: old.permissions,
        expiresAtMs: row.lifeEndsAtMs === undefined ? old.expiresAtMs : row.lifeEndsAtMs,
        keyHash: replacement.keyHash,
        keyPrefix: replacement.keyPrefix,
      },
      old.appId,
      'created',
      actor,
      { replaces: old.id },
    );
    this.retire(row, overlapMs, actor, { replacedBy: inserted.id, overlapMs, expiresAtMs: inserted.expiresAtMs });
    if (row.lifeEndsAtMs === undefined) row.lifeEndsAtMs = inserted.expiresAtMs;
    return { replacement: inserted, old: row.details, committedAtMs: this.clock.wallMs() };
  }

  async mintAppKey(key: NewKey, appId: string, overlapMs: number, actor: Actor): Promise<MintedAppKey> {
    this.requireWorkflow(key);
    const all = [...this.rows.values()].filter(({ details }) => details.appId === appId);
    const older = all.filter(({ details }) =>
      overlapMs === 0 ? details.revokedAtMs === null : this.isActive(details),
    );
    const minted = this.insert(key, appId, 'minted', actor, { appId });
    for (const row of older) this.retire(row, overlapMs, actor, { replacedBy: minted.id, overlapMs });
    return { keyId: minted.id, replaced: older.length, first: all.length === 0, committedAtMs: this.clock.wallMs() };
  }

  async revokeAppKeys(appId: string, actor: Actor): Promise<{ revoked: number; committedAtMs: number }> {
    const rows = [...this.rows.values()].filter(
      ({ details }) => details.appId === appId && details.revokedAtMs === null,
    );
    for (const row of rows) this.markRevoked(row, actor, 'revoked', { appId });
    return { revoked: rows.length, committedAtMs: this.clock.wallMs() };
  }

  async history(keyId: string): Promise<readonly KeyAuditEntry[]> {
    const { id } = this.requireKey(keyId, null).details;
    return this.audit.filter((entry) => entry.keyId === id);
  }

  async workflows(accountId: string): Promise<readonly WorkflowSummary[]> {
    return this.owned
      .filter((workflow) => workflow.accountId === accountId)
      .map(({ id, name }) => ({ id, name }))
      .sort((a, b) => compare(a.name, b.name) || compare(a.id, b.id));
  }

  private insert(
    key: NewKey,
    appId: string | null,
    action: string,
    actor: Actor,
    facts: Record<string, unknown>,
  ): KeyDetails {
    const { keyHash, ...shown } = key;
    if ([...this.rows.values()].some((row) => row.keyHash === keyHash)) {
      throw new Failure('conflict', 'The key exists already.');
    }
    const nowUs = BigInt(Math.trunc(this.clock.wallMs() * 1000));
    // Two keys of one microsecond would have no order.
    this.lastCreatedAtUs = nowUs > this.lastCreatedAtUs ? nowUs : this.lastCreatedAtUs + 1n;
    const details: KeyDetails = {
      ...shown,
      id: randomUUID(),
      appId,
      createdAtMs: Number(this.lastCreatedAtUs / 1000n),
      lastUsedAtMs: null,
      revokedAtMs: null,
    };
    this.rows.set(details.id, { details, keyHash, createdAtUs: this.lastCreatedAtUs });
    this.note(action, details, actor, facts);
    return details;
  }

  private retire(row: Row, overlapMs: number, actor: Actor, facts: Record<string, unknown>): void {
    if (overlapMs === 0) {
      this.markRevoked(row, actor, 'rotated', facts);
      return;
    }
    const endsAtMs = this.clock.wallMs() + overlapMs;
    row.details = { ...row.details, expiresAtMs: Math.min(row.details.expiresAtMs ?? endsAtMs, endsAtMs) };
    this.note('rotated', row.details, actor, facts);
  }

  private markRevoked(row: Row, actor: Actor, action: string, facts: Record<string, unknown>): void {
    row.details = { ...row.details, revokedAtMs: this.clock.wallMs() };
    this.note(action, row.details, actor, facts);
  }

  private note(action: string, key: KeyDetails, actor: Actor, details: Record<string, unknown>): void {
    this.audit.push({
      atMs: this.clock.wallMs(),
      action,
      keyId: key.id,
      accountId: key.accountId,
      actor: actor.name,
      origin: actor.origin,
      details,
    });
  }

  private requireKey(keyId: string, accountId: string | null): Row {
    const row = this.rows.get(keyId.toLowerCase());
    const visible =
      row !== undefined && (accountId === null || (row.details.accountId === accountId && row.details.appId === null));
    if (!visible) throw new Failure('not-found', 'There is no such key.');
    return row;
  }

  private requireWorkflow({ workflowId, accountId }: NewKey): void {
    if (workflowId === null) return;
    if (this.owned.some((workflow) => workflow.id === workflowId && workflow.accountId === accountId)) return;
    throw new Failure('not-found', 'There is no such workflow.');
  }

  private requireRoom(accountId: string, maxActive: number): void {
    const active = [...this.rows.values()].filter(
      ({ details }) => details.accountId === accountId && details.appId === null && this.isActive(details),
    );
    if (active.length >= maxActive) {
      throw new Failure('limit-reached', `The account has ${maxActive} active keys, as many as it may have.`);
    }
  }

  private isActive(key: KeyDetails): boolean {
    return key.revokedAtMs === null && (key.expiresAtMs === null || key.expiresAtMs > this.clock.wallMs());
  }
}

interface Place {
  readonly createdAtUs: bigint;
  readonly details: Pick<KeyDetails, 'id'>;
}

function placeOf(cursor: KeyCursor): Place {
  return { createdAtUs: BigInt(cursor.createdAtUs), details: { id: cursor.id } };
}

function newestFirst(a: Place, b: Place): number {
  return compare(b.createdAtUs, a.createdAtUs) || compare(b.details.id, a.details.id);
}

function compare<T extends bigint | string>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
