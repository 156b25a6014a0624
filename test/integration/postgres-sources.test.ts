import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Permission } from '../../src/domain/permissions.js';
import { keyHashFromBytes } from '../../src/domain/raw-key.js';
import { silentLogger } from '../../src/ports/logger.js';
import { PostgresKeyRegistry } from '../../src/store/postgres/postgres-key-registry.js';
import { PostgresKeySource } from '../../src/store/postgres/postgres-key-source.js';
import { PostgresSessionSource } from '../../src/store/postgres/postgres-session-source.js';
import { PostgresWorkflowSource } from '../../src/store/postgres/postgres-workflow-source.js';
import { testDatabase } from '../support/database.js';
import { waitUntil } from '../support/wait-until.js';

const db = await testDatabase();
const runner = db.runner();

describe('keys that the schema would refuse, should they be there all the same', () => {
  const error = vi.fn();
  const source = new PostgresKeySource(runner, { ...silentLogger, error });
  const hash = randomBytes(32);

  async function insert(columns: Record<string, unknown>): Promise<void> {
    const row = {
      id: randomUUID(),
      account_id: 'acme',
      name: 'k',
      key_hash: hash,
      key_prefix: 'nk_live_0000',
      permissions: ['read'],
      ...columns,
    };
    const names = Object.keys(row);
    await db.query(
      `INSERT INTO latchkey.api_keys (${names.join(', ')}) VALUES (${names.map((_, at) => `$${at + 1}`).join(', ')})`,
      Object.values(row),
    );
  }

  beforeEach(async () => {
    error.mockClear();
    await db.query('TRUNCATE latchkey.api_keys');
    await db.query(`
      DO $$ DECLARE c record; BEGIN
        FOR c IN SELECT conname FROM pg_constraint
                   WHERE conrelid = 'latchkey.api_keys'::regclass AND contype = 'c' AND conname LIKE 'api_keys%check' LOOP
          EXECUTE format('ALTER TABLE latchkey.api_keys DROP CONSTRAINT %I', c.conname);
        END LOOP;
      END $$`);
    await db.query('ALTER TABLE latchkey.api_keys ALTER COLUMN account_id DROP NOT NULL');
  });

  it('are granted nothing for permissions that do not exist', async () => {
    await insert({ permissions: ['write', 'admin', 'constructor', 'READ', 'read '] });
    const [record] = await source.readMany([keyHashFromBytes(hash)]);
    expect(record?.permissions).toBe(Permission.WRITE);
  });

  it('are unknown when they cannot be read, and are reported without their hash', async () => {
    await insert({ account_id: null });
    expect(await source.readMany([keyHashFromBytes(hash)])).toEqual([null]);
    expect(error).toHaveBeenCalledOnce();
    expect(JSON.stringify(error.mock.calls)).not.toContain(hash.toString('hex'));
  });

  it.each([
    ['infinity', Number.POSITIVE_INFINITY],
    ['-infinity', Number.NEGATIVE_INFINITY],
  ])('end at %s as it says', async (expiresAt, expected) => {
    await insert({ expires_at: expiresAt });
    expect((await source.readMany([keyHashFromBytes(hash)]))[0]?.expiresAtMs).toBe(expected);
  });

  it('are revoked whatever the time of it', async () => {
    await insert({ revoked_at: 'infinity' });
    expect((await source.readMany([keyHashFromBytes(hash)]))[0]?.revoked).toBe(true);
  });
});

describe('a session', () => {
  const sessions = new PostgresSessionSource(runner);
  const hashOf = (token: string) => createHash('sha256').update(token).digest();

  it('is found by the hash of its token until it expires', async () => {
    await db.query(
      `INSERT INTO latchkey.sessions VALUES ($1, 'acme', now() + interval '1 hour'), ($2, 'acme', now()),
                                            ($3, 'other', 'infinity')`,
      [hashOf('live'), hashOf('expired'), hashOf('eternal')],
    );
    expect(await sessions.accountOf(hashOf('live'))).toBe('acme');
    expect(await sessions.accountOf(hashOf('eternal'))).toBe('other');
    expect(await sessions.accountOf(hashOf('expired'))).toBeNull();
    expect(await sessions.accountOf(hashOf('unknown'))).toBeNull();
    expect(await sessions.accountOf(Buffer.alloc(0))).toBeNull();
  });
});

describe("the platform's own tables", () => {
  it('may stand behind views, with other types of id', async () => {
    await db.query('CREATE TABLE flows (flow uuid PRIMARY KEY, owner uuid, title varchar(50))');
    await db.query('DROP TABLE latchkey.workflows');
    await db.query(
      'CREATE VIEW latchkey.workflows AS SELECT flow::text AS id, owner::text AS account_id, title AS name FROM flows',
    );
    const [flow, owner] = [randomUUID(), randomUUID()];
    await db.query("INSERT INTO flows VALUES ($1, $2, 'Title')", [flow, owner]);
    const source = new PostgresWorkflowSource(runner, silentLogger);
    expect(await source.readMany([flow, 'not-a-uuid'])).toEqual([owner, null]);
    const registry = new PostgresKeyRegistry(runner);
    expect(await registry.workflows(owner)).toEqual([{ id: flow, name: 'Title' }]);
    const key = await registry.create(
      {
        accountId: owner,
        name: 'k',
        keyHash: keyHashFromBytes(randomBytes(32)),
        keyPrefix: 'nk_live_0000',
        workflowId: flow,
        permissions: Permission.READ,
        expiresAtMs: null,
      },
      ACTOR,
      10,
    );
    expect(key.workflowId).toBe(flow);
  });
});

const ACTOR = { name: 'test', origin: null };

/** A key that this program did not write; returns its id. */
async function insertPlainly(accountId: string): Promise<string> {
  const id = randomUUID();
  await db.query(
    `INSERT INTO latchkey.api_keys (id, account_id, name, key_hash, key_prefix, permissions)
       VALUES ($1, $2, 'k', $3, 'nk_live_0000', '{read}')`,
    [id, accountId, randomBytes(32)],
  );
  return id;
}

describe('a key that plain SQL wrote', () => {
  it('has an empty trail, which is not the same as no key', async () => {
    const id = await insertPlainly('acme');
    expect(await new PostgresKeyRegistry(runner).history(id)).toEqual([]);
  });
});

describe('the keys of an app', () => {
  const order = () => ({
    accountId: 'acme',
    name: 'k',
    keyHash: keyHashFromBytes(randomBytes(32)),
    keyPrefix: 'nk_live_0000',
    workflowId: null,
    permissions: Permission.READ,
    expiresAtMs: null,
  });

  it.each([
    ['a revocation', (registry: PostgresKeyRegistry) => registry.revokeAppKeys('busy', ACTOR)],
    ['a publication', (registry: PostgresKeyRegistry) => registry.mintAppKey(order(), 'busy', 0, ACTOR)],
    [
      'a rotation',
      (registry: PostgresKeyRegistry, keyId: string) => registry.rotate(keyId, null, order(), 0, ACTOR, 10),
    ],
  ])('are changed by one at a time: %s waits for another that is under way', async (_, change) => {
    const registry = new PostgresKeyRegistry(runner);
    const { keyId } = await registry.mintAppKey(order(), 'busy', 0, ACTOR);
    const holder = await db.client();
    await holder.query('BEGIN');
    await holder.query("SELECT pg_advisory_xact_lock(hashtextextended('app:busy', 5871))");
    let over = false;
    const changing = change(registry, keyId).finally(() => {
      over = true;
    });
    await waitUntil('it waits', async () => {
      const rows = await db.query(
        "SELECT FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()",
      );
      return rows.length === 1;
    });
    expect(over).toBe(false);
    await holder.query('ROLLBACK');
    await changing;
  });
});

describe('a row that the database keeps as it was', () => {
  it('is not reported as revoked', async () => {
    const id = await insertPlainly('kept');
    await db.query(
      `CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
       CREATE TRIGGER keep BEFORE UPDATE ON latchkey.api_keys
         FOR EACH ROW WHEN (OLD.account_id = 'kept' OR OLD.app_id = 'kept-app') EXECUTE FUNCTION keep()`,
    );
    await db.query("UPDATE latchkey.api_keys SET app_id = 'kept-app' WHERE id = $1", [await insertPlainly('kept-app')]);
    const registry = new PostgresKeyRegistry(runner);
    const replacement = { keyHash: keyHashFromBytes(randomBytes(32)), keyPrefix: 'nk_live_0000' };
    for (const revoking of [
      () => registry.revoke(id, 'kept', ACTOR),
      () => registry.rotate(id, 'kept', replacement, 0, ACTOR, 10),
      () => registry.revokeAppKeys('kept-app', ACTOR),
      () =>
        registry.mintAppKey(
          {
            ...replacement,
            accountId: 'acme',
            name: 'k',
            workflowId: null,
            permissions: Permission.READ,
            expiresAtMs: null,
          },
          'kept-app',
          0,
          ACTOR,
        ),
    ]) {
      await expect(revoking()).rejects.toMatchObject({ kind: 'unavailable' });
    }
    expect(await db.query('SELECT revoked_at FROM latchkey.api_keys WHERE id = $1', [id])).toEqual([
      { revoked_at: null },
    ]);
  });
});
