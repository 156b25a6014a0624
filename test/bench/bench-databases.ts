import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { silentLogger } from '../../src/ports/logger.js';
import { migrate } from '../../src/store/postgres/migrate.js';
import { PostgresServer } from '../support/postgres-server.js';
import { benchKeyRows } from './bench-keys.js';

/** Keys of one account, unless said otherwise. */
export const KEYS_PER_ACCOUNT = 10;

const COPIED_AT_ONCE = 1_000_000;

/** A database of one row. */
export interface BenchDatabase {
  readonly url: string;
  query<R extends pg.QueryResultRow = pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<R[]>;
  /** Adds keys (see `bench-keys.ts`) and their accounts' workflows by COPY, past the triggers. */
  addKeys(from: number, to: number, perAccount?: number): Promise<void>;
}

/** Databases on one PostgreSQL server, which starts with the first. What it confirms is on the disk: fsync is on. */
export class BenchDatabases {
  private server: Promise<PostgresServer> | null = null;
  private made = 0;
  private readonly clients: pg.Client[] = [];
  private scratch: Promise<string> | null = null;

  /** A new migrated database with the keys 0 to `keys` - 1. */
  async create(keys = 0, perAccount = KEYS_PER_ACCOUNT): Promise<BenchDatabase> {
    this.server ??= PostgresServer.create({
      shared_buffers: '512MB',
      max_wal_size: '4GB',
      checkpoint_timeout: '30min',
      max_connections: '200',
    });
    const server = await this.server;
    const name = `bench_${++this.made}`;
    await server.query(`CREATE DATABASE ${name}`);
    const location = new URL(server.url);
    location.pathname = `/${name}`;
    const url = location.href;
    await migrate({ url, logger: silentLogger });
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => {});
    await client.connect();
    this.clients.push(client);
    const database: BenchDatabase = {
      url,
      query: async <R extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []) =>
        (await client.query<R>(text, values as unknown[])).rows,
      addKeys: (from, to, share = KEYS_PER_ACCOUNT) => this.addKeys(client, from, to, share),
    };
    if (keys > 0) await database.addKeys(0, keys, perAccount);
    return database;
  }

  /** Stops the server and deletes it. */
  async destroy(): Promise<void> {
    await Promise.allSettled(this.clients.map((client) => client.end()));
    await (await this.server)?.destroy();
    if (this.scratch !== null) await rm(await this.scratch, { recursive: true, force: true });
  }

  private async addKeys(client: pg.Client, from: number, to: number, perAccount: number): Promise<void> {
    const triggers = await client.query<{ relation: string; name: string }>(
      `SELECT tgrelid::regclass::text AS relation, quote_ident(tgname) AS name FROM pg_trigger
        WHERE NOT tgisinternal AND tgrelid IN ('latchkey.api_keys'::regclass, 'latchkey.workflows'::regclass)`,
    );
    // A million events of a million creations would be read by nobody.
    for (const { relation, name } of triggers.rows)
      await client.query(`ALTER TABLE ${relation} DISABLE TRIGGER ${name}`);
    this.scratch ??= sharedDirectory();
    const directory = await this.scratch;
    await client.query('SET synchronous_commit = off');
    for (let at = from; at < to; at += COPIED_AT_ONCE) {
      const rows = benchKeyRows(at, Math.min(to, at + COPIED_AT_ONCE), perAccount);
      await throughFile(
        client,
        directory,
        rows,
        'latchkey.api_keys (id, account_id, name, key_hash, key_prefix, permissions, created_at)',
      );
    }
    const accounts = `generate_series(${Math.floor(from / perAccount)}, ${Math.floor((to - 1) / perAccount)}) AS i`;
    await client.query(
      `INSERT INTO latchkey.workflows (id, account_id, name)
         SELECT md5('workflow-' || i)::uuid::text, md5('account-' || i)::uuid::text, 'bench ' || i FROM ${accounts}
         ON CONFLICT DO NOTHING`,
    );
    for (const { relation, name } of triggers.rows) {
      await client.query(`ALTER TABLE ${relation} ENABLE ALWAYS TRIGGER ${name}`);
    }
    await client.query('RESET synchronous_commit');
    await client.query('VACUUM (ANALYZE) latchkey.api_keys');
    await client.query('VACUUM (ANALYZE) latchkey.workflows');
  }
}

/** COPY out of one query into a file of the server's and from there into a table. */
async function throughFile(client: pg.Client, directory: string, rows: string, target: string): Promise<void> {
  const file = join(directory, `copy-${process.pid}.bin`);
  try {
    await client.query(`COPY (${rows}) TO '${file}' (FORMAT binary)`);
    await client.query(`COPY ${target} FROM '${file}' (FORMAT binary)`);
  } finally {
    await rm(file, { force: true });
  }
}

/** A directory that the server writes to, under whatever account it runs. */
async function sharedDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-bench-copy-'));
  await chmod(directory, 0o1777);
  return directory;
}
