import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';
import pg from 'pg';
import { Failure } from '../../domain/failure.js';
import type { Logger } from '../../ports/logger.js';
import { driverFailure, sqlStateOf } from './driver-failure.js';
import { CONNECT_TIMEOUT_MS } from './pool.js';

const MIGRATIONS_DIR = fileURLToPath(new URL('./migrations', import.meta.url));
const MIGRATIONS_SCHEMA = 'latchkey';
const MIGRATIONS_TABLE = 'migrations';

/** How long a migration waits for another process's, or for a table that is in use, in ms. */
const LOCK_TIMEOUT_MS = 60_000;

/** How long the state of the schema may take to read, in ms: it is the first thing that a start asks. */
const READ_TIMEOUT_MS = 10_000;

/** What {@link migrate} needs. */
export interface MigrateOptions {
  /** A direct connection: the advisory lock lives as long as the session. */
  readonly url: string;
  readonly logger: Logger;
  /** Changes nothing, and answers what would be applied. */
  readonly dryRun?: boolean;
}

/** How the schema of a database stands to this program's migrations. */
export interface SchemaState {
  /** Names of the migrations that were applied, in order. */
  readonly applied: readonly string[];
  /** Names of those that this program knows and the database lacks, in order. */
  readonly pending: readonly string[];
  /** Names of those that were applied and this program does not know. */
  readonly unknown: readonly string[];
}

/**
 * Brings schema `latchkey` up to date, and returns the names of the migrations that were applied (or, with `dryRun`,
 * would be). Processes that migrate at the same time wait for one another. All of a run is one transaction.
 *
 * Rejects with a `Failure`; also when the schema is newer than this program knows.
 */
export async function migrate({ url, logger, dryRun = false }: MigrateOptions): Promise<readonly string[]> {
  if (dryRun) return (await readSchemaState(url)).pending;
  // No limit of this side's: the longest query is an index on a large table.
  return await withClient(url, 0, async (client) => {
    // Its queries are answered or refused within this, the wait for the advisory lock included.
    await client.query(`SET lock_timeout = ${LOCK_TIMEOUT_MS}`);
    refuseUnknown(await schemaStateOf(client));
    const quiet = (message: string) => logger.debug('migration', { message });
    const applied = await runner({
      dbClient: client,
      dir: MIGRATIONS_DIR,
      direction: 'up',
      migrationsSchema: MIGRATIONS_SCHEMA,
      createMigrationsSchema: true,
      migrationsTable: MIGRATIONS_TABLE,
      singleTransaction: true,
      advisoryLockMode: 'wait',
      // Compared by name below; an older release must not stumble over a newer one's expand steps.
      checkOrder: false,
      logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    });
    const names = applied.map(({ name }) => name);
    if (names.length > 0) logger.info('database schema migrated', { applied: names });
    return names;
  });
}

/** Compares the database with this program's migrations, changing nothing. Rejects with a `Failure`. */
export function readSchemaState(url: string, timeoutMs: number = READ_TIMEOUT_MS): Promise<SchemaState> {
  return withClient(url, timeoutMs, schemaStateOf);
}

/**
 * Resolves when this program can work on the database's schema: nothing pending, nothing unknown. Otherwise rejects with
 * a `Failure` that says what to do.
 *
 * Unknown migrations whose name says `expand` (`0007_expand_…`) are allowed: by rule they only add what a program that
 * does not know them can ignore, so that the previous release runs on, and restarts, during an upgrade.
 */
export async function assertSchemaKnown(url: string): Promise<void> {
  const state = await readSchemaState(url);
  refuseUnknown(state);
  if (state.pending.length > 0) {
    throw new Failure(
      'unavailable',
      `The database schema lacks ${state.pending.join(', ')}. Run "latchkey migrate" with LATCHKEY_LISTEN_DATABASE_URL or DATABASE_URL set.`,
    );
  }
}

function refuseUnknown({ unknown }: SchemaState): void {
  const breaking = unknown.filter((name) => !/^\d+_expand_/.test(name));
  if (breaking.length > 0) {
    throw new Failure(
      'unavailable',
      `The database schema is newer than this program knows (${breaking.join(', ')}). Run a newer release of Latchkey.`,
    );
  }
}

async function schemaStateOf(client: pg.Client): Promise<SchemaState> {
  const files = await readdir(MIGRATIONS_DIR);
  const known = files
    .filter((file) => file.endsWith('.sql'))
    .map((file) => file.slice(0, -'.sql'.length))
    .sort();
  const applied = await appliedMigrations(client);
  return {
    applied,
    pending: known.filter((name) => !applied.includes(name)),
    unknown: applied.filter((name) => !known.includes(name)),
  };
}

async function appliedMigrations(client: pg.Client): Promise<readonly string[]> {
  try {
    const { rows } = await client.query<{ name: string }>(
      `SELECT name FROM ${MIGRATIONS_SCHEMA}.${MIGRATIONS_TABLE} ORDER BY id`,
    );
    return rows.map(({ name }) => name);
  } catch (error) {
    // undefined_table, invalid_schema_name: nothing was ever applied.
    if (['42P01', '3F000'].includes(sqlStateOf(error))) return [];
    throw error;
  }
}

/** @param queryTimeoutMs longest time of one query; 0: any */
async function withClient<T>(url: string, queryTimeoutMs: number, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'latchkey-migrate',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: queryTimeoutMs,
    keepAlive: true,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    return await work(client);
  } catch (error) {
    throw driverFailure(error);
  } finally {
    await client.end().catch(() => {});
  }
}
