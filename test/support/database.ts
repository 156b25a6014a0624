import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, inject } from 'vitest';
import { systemClock } from '../../src/observability/system-clock.js';
import { systemTimers } from '../../src/observability/system-timers.js';
import { silentLogger } from '../../src/ports/logger.js';
import { createPool } from '../../src/store/postgres/pool.js';
import { QueryRunner, type QueryRunnerParts } from '../../src/store/postgres/run-query.js';
import { TEMPLATE } from './database-setup.js';

/** A database of this test file alone. */
export interface TestDatabase {
  readonly url: string;
  /** Plain SQL on a pool of its own: what `psql` or the platform would do. */
  query<R extends pg.QueryResultRow = pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<R[]>;
  /** A connected client; ended with the file. */
  client(config?: pg.ClientConfig): Promise<pg.Client>;
  /** A runner for the adapters, on a pool of its own; closed with the file. */
  runner(parts?: Partial<QueryRunnerParts> & { readonly url?: string; readonly size?: number }): QueryRunner;
}

/**
 * Makes a migrated, empty database and drops it when the file is through. Call it in the body of a `describe` or at
 * the top of a file, with `await`.
 *
 * @param options `empty`: without even the schema
 */
export async function testDatabase(options: { readonly empty?: boolean } = {}): Promise<TestDatabase> {
  const adminUrl = inject('postgresUrl');
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await administer(adminUrl, `CREATE DATABASE ${name}${options.empty ? '' : ` TEMPLATE ${TEMPLATE}`}`);
  const ofDatabase = new URL(adminUrl);
  ofDatabase.pathname = `/${name}`;
  const url = ofDatabase.href;
  const closers: (() => Promise<unknown>)[] = [];

  const pool = createPool({ url, size: 4, logger: silentLogger, applicationName: 'latchkey-test' });
  closers.push(() => pool.end());

  afterAll(async () => {
    await Promise.allSettled(closers.map((close) => close()));
    await administer(adminUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  });

  return {
    url,
    query: async <R extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []) =>
      (await pool.query<R>(text, values as unknown[])).rows,
    client: async (config = {}) => {
      const client = new pg.Client({ connectionString: url, ...config });
      client.on('error', () => {});
      await client.connect();
      closers.push(() => client.end());
      return client;
    },
    runner: ({ url: otherUrl = url, size = 4, ...parts } = {}) => {
      const own = createPool({ url: otherUrl, size, logger: silentLogger });
      closers.push(() => own.end());
      return new QueryRunner({
        pool: own,
        clock: systemClock,
        timers: systemTimers,
        metrics: { databaseCall() {} },
        logger: silentLogger,
        ...parts,
      });
    },
  };
}

async function administer(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
