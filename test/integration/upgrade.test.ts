import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runner } from 'node-pg-migrate';
import { afterEach, describe, expect, it } from 'vitest';
import { type App, type AppAddresses, createApp } from '../../src/app.js';
import { createLatchkeyClient } from '../../src/client/index.js';
import { parseConfig } from '../../src/config.js';
import { silentLogger } from '../../src/ports/logger.js';
import { migrate, readSchemaState } from '../../src/store/postgres/migrate.js';
import { type TestDatabase, testDatabase } from '../support/database.js';
import { FREE_PORTS } from '../support/program.js';
import { waitUntil } from '../support/wait-until.js';

/** What a release after this one might add: columns with defaults, a table, an index, and a new kind of event. */
const EXPAND = `
  ALTER TABLE latchkey.api_keys ADD COLUMN note text NOT NULL DEFAULT '';
  ALTER TABLE latchkey.sidecars ADD COLUMN zone text;
  ALTER TABLE latchkey.events ADD COLUMN reason text, DROP CONSTRAINT events_kind_check;
  CREATE INDEX api_keys_by_note ON latchkey.api_keys (note) WHERE note <> '';
  CREATE TABLE latchkey.key_labels (key_id uuid, label text, PRIMARY KEY (key_id, label));`;

/** Applies migrations of a later release with the same tool: what its `latchkey migrate` would do. */
async function applyLater(url: string, files: Readonly<Record<string, string>>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'latchkey-later-'));
  try {
    for (const [name, sql] of Object.entries(files)) await writeFile(join(dir, `${name}.sql`), sql);
    const silent = () => {};
    await runner({
      databaseUrl: url,
      dir,
      direction: 'up',
      migrationsSchema: 'latchkey',
      migrationsTable: 'migrations',
      checkOrder: false,
      logger: { debug: silent, info: silent, warn: silent, error: silent },
    });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const apps: App[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app.stop();
});

function sidecar(url: string): App {
  const parsed = parseConfig({
    ...FREE_PORTS,
    DATABASE_URL: url,
    LATCHKEY_SESSION_MODE: 'table',
    // What is remembered must be so after a pause of the machine, too.
    LATCHKEY_LEASE_MS: '60000',
  });
  if (!('config' in parsed)) throw new Error(JSON.stringify(parsed.problems));
  const app = createApp(parsed.config, { logger: silentLogger, version: 'test', nodeVersion: process.version });
  apps.push(app);
  return app;
}

async function logIn(db: TestDatabase): Promise<string> {
  const token = randomBytes(16).toString('hex');
  await db.query(
    `INSERT INTO latchkey.sessions (token_hash, account_id, expires_at) VALUES ($1, 'upgraded', now() + interval '1 day')`,
    [createHash('sha256').update(token).digest()],
  );
  await db.query(`INSERT INTO latchkey.workflows (id, account_id, name) VALUES ('w', 'upgraded', 'Upgraded')`);
  return token;
}

async function rest(addresses: AppAddresses, token: string, method: string, path: string, body?: object) {
  const response = await fetch(`${addresses.http}${path}`, {
    method,
    headers: { cookie: `session=${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, string> };
}

/** Everything that this release does with the schema, by way of a sidecar: create, decide, list, rotate, revoke. */
async function expectAllToWork(addresses: AppAddresses, token: string): Promise<void> {
  const client = createLatchkeyClient({ address: addresses.grpc[0] ?? '', deadlineMs: 5_000 });
  const reason = async (key: string | undefined) =>
    (await client.authorize({ key: key ?? '', workflowId: 'w', method: 'nodes.getOutput' })).reason;
  try {
    const created = await rest(addresses, token, 'POST', '/api/keys', { name: 'before' });
    expect(created.status).toBe(201);
    expect(await reason(created.body['raw_key'])).toBe('GRANTED');
    const rotated = await rest(addresses, token, 'POST', `/api/keys/${created.body['id']}/rotate`, {});
    expect(rotated.status).toBe(201);
    expect(await reason(created.body['raw_key'])).toBe('KEY_REVOKED');
    expect(await reason(rotated.body['raw_key'])).toBe('GRANTED');
    expect((await rest(addresses, token, 'GET', '/api/keys')).status).toBe(200);
    const revoked = await rest(addresses, token, 'DELETE', `/api/keys/${rotated.body['id']}`);
    expect(revoked).toMatchObject({ status: 200, body: { receipt: { sidecars: { expired: 0 } } } });
    expect(await reason(rotated.body['raw_key'])).toBe('KEY_REVOKED');
  } finally {
    client.close();
  }
}

describe('a sidecar of this release', () => {
  it('goes on working while a later release expands the schema under it, and starts on the expanded schema', async () => {
    const db = await testDatabase();
    const token = await logIn(db);
    const running = await sidecar(db.url).start();
    await expectAllToWork(running, token);
    await applyLater(db.url, { '0900_expand_labels': EXPAND });
    expect((await readSchemaState(db.url)).unknown).toEqual(['0900_expand_labels']);
    await expectAllToWork(running, token);
    await expectAllToWork(await sidecar(db.url).start(), token);
    // Going back a release: its own `migrate` finds nothing to do and breaks nothing.
    expect(await migrate({ url: db.url, logger: silentLogger })).toEqual([]);
  });

  it('forgets all, rather than guess, on a kind of event that it does not know', async () => {
    const db = await testDatabase();
    const token = await logIn(db);
    await applyLater(db.url, { '0900_expand_labels': EXPAND });
    const running = await sidecar(db.url).start();
    const client = createLatchkeyClient({ address: running.grpc[0] ?? '', deadlineMs: 5_000 });
    const created = await rest(running, token, 'POST', '/api/keys', { name: 'relabelled' });
    const reason = async () =>
      (await client.authorize({ key: created.body['raw_key'] ?? '', workflowId: 'w', method: 'nodes.getOutput' }))
        .reason;
    expect(await reason()).toBe('GRANTED');
    // A change that only the event tells of.
    await db.query('ALTER TABLE latchkey.api_keys DISABLE TRIGGER ALL');
    await db.query(`UPDATE latchkey.api_keys SET revoked_at = now()`);
    expect(await reason()).toBe('GRANTED');
    await db.query(`SELECT latchkey.append_event('key-relabelled', NULL, NULL, NULL, 'upgraded', NULL)`);
    await waitUntil('the key is read again', async () => (await reason()) === 'KEY_REVOKED');
    client.close();
  });

  it('refuses to start on a schema that a later release has contracted, and says what to do', async () => {
    const db = await testDatabase();
    await applyLater(db.url, {
      '0900_expand_labels': EXPAND,
      '0901_contract_prefix': 'ALTER TABLE latchkey.api_keys DROP COLUMN key_prefix;',
    });
    const problem = await sidecar(db.url)
      .start()
      .catch((error: unknown) => error);
    expect(String(problem)).toMatch(/newer than this program knows \(0901_contract_prefix\).*Run a newer release/);
    // It names what it cannot live with, and nothing that it can.
    expect(String(problem)).not.toContain('0900_expand_labels');
  });
});
