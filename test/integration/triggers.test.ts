import { randomBytes, randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { testDatabase } from '../support/database.js';

const db = await testDatabase();

const INSERT = `INSERT INTO latchkey.api_keys (id, account_id, name, key_hash, key_prefix, permissions)
  VALUES ($1, 'acme', 'test', $2, 'nk_live_0000', '{read}')`;

interface EventRow {
  readonly sequence: string;
  readonly kind: string;
  readonly key_id: string | null;
  readonly key_hash: Buffer | null;
  readonly workflow_id: string | null;
  readonly account_id: string | null;
}

async function headSequence(): Promise<bigint> {
  const [row] = await db.query<{ sequence: string }>('SELECT sequence FROM latchkey.head');
  return BigInt(row?.sequence ?? -1);
}

async function eventsAfter(sequence: bigint): Promise<EventRow[]> {
  return await db.query<EventRow>(
    `SELECT sequence, kind, key_id, key_hash, workflow_id, account_id FROM latchkey.events
       WHERE sequence > $1 ORDER BY sequence`,
    [sequence],
  );
}

let id: string;
let hash: Buffer;
let before: bigint;

beforeEach(async () => {
  id = randomUUID();
  hash = randomBytes(32);
  await db.query(INSERT, [id, hash]);
  before = await headSequence();
});

describe('a change of api_keys by plain SQL', () => {
  it('leaves an event for a creation, with the hash for caches of unknown keys', async () => {
    const [otherId, otherHash] = [randomUUID(), randomBytes(32)];
    await db.query(INSERT, [otherId, otherHash]);
    expect(await eventsAfter(before)).toEqual([
      {
        sequence: String(before + 1n),
        kind: 'key-created',
        key_id: otherId,
        key_hash: otherHash,
        workflow_id: null,
        account_id: 'acme',
      },
    ]);
  });

  it.each([
    ['a revocation', 'revoked_at = now()', 'key-revoked'],
    ['a narrower set of permissions', "permissions = '{execute}'", 'key-changed'],
    ['another scope', "workflow_id = 'w'", 'key-changed'],
    ['another account', "account_id = 'other'", 'key-changed'],
    ['an expiry', "expires_at = now() + interval '1 hour'", 'key-changed'],
    ['an end without a date', "expires_at = 'infinity'", 'key-changed'],
    ['an app', "app_id = 'app'", 'key-changed'],
    ['another id', 'id = gen_random_uuid()', 'key-changed'],
  ])('leaves an event for %s', async (_, assignment, kind) => {
    await db.query(`UPDATE latchkey.api_keys SET ${assignment} WHERE id = $1`, [id]);
    expect(await eventsAfter(before)).toMatchObject([{ kind, key_hash: hash }]);
  });

  it('leaves an event for a deletion', async () => {
    await db.query('DELETE FROM latchkey.api_keys WHERE id = $1', [id]);
    expect(await eventsAfter(before)).toMatchObject([{ kind: 'key-deleted', key_id: id, key_hash: hash }]);
  });

  it('leaves two events for another hash: caches may hold either', async () => {
    const otherHash = randomBytes(32);
    await db.query('UPDATE latchkey.api_keys SET key_hash = $2, revoked_at = now() WHERE id = $1', [id, otherHash]);
    expect(await eventsAfter(before)).toMatchObject([
      { kind: 'key-changed', key_hash: hash },
      { kind: 'key-revoked', key_hash: otherHash },
    ]);
  });

  it.each([
    'name = name || $$!$$',
    "key_prefix = 'nk_live_ffff'",
    "revoked_by = 'somebody'",
    'permissions = permissions',
    'created_at = created_at',
  ])('leaves no event when it cannot alter a decision: %s', async (assignment) => {
    await db.query(`UPDATE latchkey.api_keys SET ${assignment} WHERE id = $1`, [id]);
    expect(await eventsAfter(before)).toEqual([]);
    expect(await headSequence()).toBe(before);
  });

  it('leaves events also in a session that applies a replication stream', async () => {
    const client = await db.client();
    await client.query('SET session_replication_role = replica');
    await client.query('UPDATE latchkey.api_keys SET revoked_at = now() WHERE id = $1', [id]);
    expect(await eventsAfter(before)).toMatchObject([{ kind: 'key-revoked' }]);
  });

  it('leaves events for COPY and for a writer with rights on the table alone', async () => {
    const role = `writer_${id.slice(0, 8)}`;
    await db.query(`CREATE ROLE ${role}`);
    await db.query(`GRANT USAGE ON SCHEMA latchkey TO ${role}`);
    await db.query(`GRANT SELECT, UPDATE ON latchkey.api_keys TO ${role}`);
    const client = await db.client();
    await client.query(`SET ROLE ${role}`);
    await client.query('UPDATE latchkey.api_keys SET revoked_at = now() WHERE id = $1', [id]);
    await client.query('RESET ROLE');
    await client.query(`DROP OWNED BY ${role}`);
    await client.query(`DROP ROLE ${role}`);
    expect(await eventsAfter(before)).toMatchObject([{ kind: 'key-revoked' }]);
  });

  it('leaves one event of every change in one transaction, numbered without a gap', async () => {
    const client = await db.client();
    await client.query('BEGIN');
    await client.query("UPDATE latchkey.api_keys SET permissions = '{write}' WHERE id = $1", [id]);
    await client.query('SAVEPOINT s');
    await client.query("UPDATE latchkey.api_keys SET workflow_id = 'undone' WHERE id = $1", [id]);
    await client.query('ROLLBACK TO s');
    await client.query('UPDATE latchkey.api_keys SET revoked_at = now() WHERE id = $1', [id]);
    await client.query('COMMIT');
    const events = await eventsAfter(before);
    expect(events.map(({ sequence, kind }) => [BigInt(sequence) - before, kind])).toEqual([
      [1n, 'key-changed'],
      [2n, 'key-revoked'],
    ]);
  });

  it('numbers on after a savepoint that was rolled back with its events', async () => {
    const client = await db.client();
    await client.query('BEGIN');
    await client.query('SET CONSTRAINTS ALL IMMEDIATE');
    await client.query("UPDATE latchkey.api_keys SET permissions = '{write}' WHERE id = $1", [id]);
    await client.query('SAVEPOINT s');
    await client.query("UPDATE latchkey.api_keys SET workflow_id = 'undone' WHERE id = $1", [id]);
    await client.query('ROLLBACK TO s');
    await client.query('UPDATE latchkey.api_keys SET revoked_at = now() WHERE id = $1', [id]);
    await client.query('COMMIT');
    expect((await eventsAfter(before)).map(({ sequence }) => BigInt(sequence) - before)).toEqual([1n, 2n]);
  });

  it('is at least `on` at its commit, whatever the session says, and stricter settings stay', async () => {
    const client = await db.client();
    for (const [set, expected] of [
      ['off', 'on'],
      ['local', 'on'],
      ['remote_write', 'on'],
      ['on', 'on'],
      ['remote_apply', 'remote_apply'],
    ]) {
      await client.query('BEGIN');
      await client.query(`SET LOCAL synchronous_commit = ${set}`);
      await client.query("UPDATE latchkey.api_keys SET workflow_id = workflow_id || 'x' WHERE id = $1", [id]);
      await client.query("UPDATE latchkey.api_keys SET workflow_id = 'x' || gen_random_uuid() WHERE id = $1", [id]);
      // What is deferred to the commit runs here, and what it sets lasts until then.
      await client.query('SET CONSTRAINTS ALL IMMEDIATE');
      const { rows } = await client.query('SHOW synchronous_commit');
      await client.query('COMMIT');
      expect([set, rows[0]]).toEqual([set, { synchronous_commit: expected }]);
    }
  });

  it('sends one notification a transaction, without content', async () => {
    const listener = await db.client();
    const heard: (string | undefined)[] = [];
    listener.on('notification', ({ payload }) => heard.push(payload));
    await listener.query('LISTEN latchkey_events');
    await db.query("UPDATE latchkey.api_keys SET workflow_id = 'several' WHERE account_id = 'acme'");
    // The notification of an earlier commit arrives before the answer to a later question.
    await listener.query('SELECT 1');
    expect(heard).toEqual(['']);
  });
});

describe('a revoked key', () => {
  it('stays revoked, also for a superuser and a replication stream', async () => {
    await db.query('UPDATE latchkey.api_keys SET revoked_at = now() WHERE id = $1', [id]);
    const client = await db.client();
    await client.query('SET session_replication_role = replica');
    await expect(client.query('UPDATE latchkey.api_keys SET revoked_at = NULL WHERE id = $1', [id])).rejects.toThrow(
      'stays revoked',
    );
  });
});

describe('a change of workflows', () => {
  it('leaves an event when one appears, goes or changes hands, and none for a name', async () => {
    const workflow = `w-${id}`;
    await db.query("INSERT INTO latchkey.workflows VALUES ($1, 'acme', 'n')", [workflow]);
    await db.query("UPDATE latchkey.workflows SET name = 'm' WHERE id = $1", [workflow]);
    await db.query("UPDATE latchkey.workflows SET account_id = 'other' WHERE id = $1", [workflow]);
    await db.query('UPDATE latchkey.workflows SET id = $1 || $2 WHERE id = $1', [workflow, '2']);
    await db.query('DELETE FROM latchkey.workflows WHERE id = $1', [`${workflow}2`]);
    const events = await eventsAfter(before);
    expect(new Set(events.map(({ kind }) => kind))).toEqual(new Set(['workflow-changed']));
    expect(events.map((event) => event.workflow_id)).toEqual([
      workflow, // appeared
      workflow, // left its old owner
      workflow, // came to its new one
      workflow, // left its old id
      `${workflow}2`, // came to its new one
      `${workflow}2`, // went
    ]);
  });
});

describe('TRUNCATE', () => {
  it.each(['api_keys', 'workflows'])('of %s leaves an event that says everything may have changed', async (table) => {
    await db.query(`TRUNCATE latchkey.${table}`);
    expect(await eventsAfter(before)).toMatchObject([{ kind: 'everything-changed', key_hash: null }]);
  });

  it.each(['api_keys', 'workflows'])('of %s does so in a replication stream, too', async (table) => {
    const client = await db.client();
    await client.query('SET session_replication_role = replica');
    await client.query(`TRUNCATE latchkey.${table}`);
    expect(await eventsAfter(before)).toMatchObject([{ kind: 'everything-changed' }]);
  });
});

describe('the schema', () => {
  const columns = {
    account_id: "'acme'",
    name: "'n'",
    key_hash: `'\\x${'ab'.repeat(32)}'`,
    key_prefix: "'nk_live_abcd'",
    permissions: "'{read}'",
  };
  const insert = (changed: Partial<Record<string, string>>) => {
    const row = { ...columns, ...changed };
    return db.query(
      `INSERT INTO latchkey.api_keys (${Object.keys(row).join(', ')}) VALUES (${Object.values(row).join(', ')})`,
    );
  };

  it.each([
    ['a hash of 31 bytes', { key_hash: `'\\x${'ab'.repeat(31)}'` }],
    ['no permission', { permissions: "'{}'" }],
    ['an unknown permission', { permissions: "'{read,admin}'" }],
    ['a permission twice', { permissions: "'{read,read}'" }],
    ['permissions out of order', { permissions: "'{write,read}'" }],
    ['a NULL among permissions', { permissions: "'{read,NULL}'" }],
    ['an empty account', { account_id: "''" }],
    ['an empty scope, which would mean all', { workflow_id: "''" }],
    ['an empty app, which would mean none', { app_id: "''" }],
    ['a blank name', { name: "''" }],
    ['a name of 101 characters', { name: "repeat('n', 101)" }],
    ['a raw key as a name', { name: `'nk_live_${'0'.repeat(64)}'` }],
    ['a raw key as a prefix', { key_prefix: `'nk_live_${'0'.repeat(64)}'` }],
    ['an expiry before all time', { expires_at: "'-infinity'" }],
    ['a revocation at no time', { revoked_at: "'infinity'" }],
  ])('refuses %s', async (_, changed) => {
    await expect(insert(changed)).rejects.toThrow('violates check constraint');
  });

  it.each([0, 86_460_001])('refuses a sidecar with a lease of %i ms', async (leaseMs) => {
    await expect(
      db.query('INSERT INTO latchkey.sidecars (id, renewals, lease_ms) VALUES (gen_random_uuid(), 1, $1)', [leaseMs]),
    ).rejects.toThrow('violates check constraint');
  });

  it('refuses a raw key anywhere in the audit trail', async () => {
    const raw = `nk_live_${'0'.repeat(64)}`;
    await expect(
      db.query(
        `INSERT INTO latchkey.key_audit (action, key_id, account_id, actor, details)
           VALUES ('created', gen_random_uuid(), 'a', 'b', $1)`,
        [{ oops: raw }],
      ),
    ).rejects.toThrow('key_audit_holds_no_raw_key');
  });
});
