import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { Failure } from '../../src/domain/failure.js';
import { silentLogger } from '../../src/ports/logger.js';
import { assertSchemaKnown, migrate, readSchemaState } from '../../src/store/postgres/migrate.js';
import { testDatabase } from '../support/database.js';

const ALL = ['0001_initial'];

/** Migrates in a process of its own; answers what it applied. */
async function migrateElsewhere(url: string): Promise<string[]> {
  const program = `
    import { migrate } from './src/store/postgres/migrate.ts';
    import { silentLogger } from './src/ports/logger.ts';
    console.log(JSON.stringify(await migrate({ url: ${JSON.stringify(url)}, logger: silentLogger })));`;
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--import',
    'tsx',
    '--input-type=module',
    '--eval',
    program,
  ]);
  return JSON.parse(stdout) as string[];
}

describe('migrate', () => {
  it('plans without touching the database', async () => {
    const db = await testDatabase({ empty: true });
    expect(await migrate({ url: db.url, logger: silentLogger, dryRun: true })).toEqual(ALL);
    expect(await db.query("SELECT FROM pg_namespace WHERE nspname = 'latchkey'")).toEqual([]);
    await expect(assertSchemaKnown(db.url)).rejects.toMatchObject({
      message: expect.stringContaining('latchkey migrate'),
    });
  });

  it('applies everything once, and nothing when repeated', async () => {
    const db = await testDatabase({ empty: true });
    expect(await migrate({ url: db.url, logger: silentLogger })).toEqual(ALL);
    expect(await migrate({ url: db.url, logger: silentLogger })).toEqual([]);
    expect(await migrate({ url: db.url, logger: silentLogger, dryRun: true })).toEqual([]);
    expect(await readSchemaState(db.url)).toEqual({ applied: ALL, pending: [], unknown: [] });
    await expect(assertSchemaKnown(db.url)).resolves.toBeUndefined();
  });

  it('lets processes that migrate at the same time wait for one another', async () => {
    const db = await testDatabase({ empty: true });
    const applied = await Promise.all([migrateElsewhere(db.url), migrateElsewhere(db.url), migrateElsewhere(db.url)]);
    expect(applied.filter((names) => names.length > 0)).toEqual([ALL]);
  });

  it('leaves nothing behind when it fails', async () => {
    const db = await testDatabase({ empty: true });
    await db.query('CREATE SCHEMA latchkey');
    await db.query('CREATE TABLE latchkey.sessions (somebody text)');
    await expect(migrate({ url: db.url, logger: silentLogger })).rejects.toBeInstanceOf(Failure);
    expect(await db.query("SELECT FROM pg_class WHERE oid = to_regclass('latchkey.api_keys')")).toEqual([]);
    expect((await readSchemaState(db.url)).applied).toEqual([]);
  });
});

describe('a schema newer than this program knows', () => {
  const applied = (db: Awaited<ReturnType<typeof testDatabase>>, name: string) =>
    db.query('INSERT INTO latchkey.migrations (name, run_on) VALUES ($1, now())', [name]);

  it('is refused at the start and by migrate, with its name and what to do', async () => {
    const db = await testDatabase();
    await applied(db, '0002_contract_drop-key-prefix');
    const refusal = {
      kind: 'unavailable',
      message: expect.stringMatching(/newer.*0002_contract_drop-key-prefix.*Run a newer/),
    };
    await expect(assertSchemaKnown(db.url)).rejects.toMatchObject(refusal);
    await expect(migrate({ url: db.url, logger: silentLogger })).rejects.toMatchObject(refusal);
  });

  it('is accepted when all that is new only adds', async () => {
    const db = await testDatabase();
    await applied(db, '0002_expand_key-notes');
    await expect(assertSchemaKnown(db.url)).resolves.toBeUndefined();
    expect(await migrate({ url: db.url, logger: silentLogger })).toEqual([]);
  });
});

describe('a schema that somebody has locked', () => {
  it('is a failure in time, and not a start that never ends', async () => {
    const db = await testDatabase();
    await migrate({ url: db.url, logger: silentLogger });
    const holder = await db.client();
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE latchkey.migrations');
    await expect(readSchemaState(db.url, 300)).rejects.toMatchObject({ kind: 'deadline-exceeded' });
    await holder.query('ROLLBACK');
    expect((await readSchemaState(db.url)).pending).toEqual([]);
  });
});

describe('a database out of reach', () => {
  it('is a failure without the driver in its text', async () => {
    const error: unknown = await readSchemaState('postgres://nobody@127.0.0.1:1/none').catch((error: unknown) => error);
    expect(error).toBeInstanceOf(Failure);
    expect(String(error)).not.toMatch(/ECONN|127\.0\.0\.1/);
  });
});
