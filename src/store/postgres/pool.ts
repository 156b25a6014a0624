import pg from 'pg';
import type { Logger } from '../../ports/logger.js';

/** Longest time, in ms, to open a connection, or to wait for a free one. */
export const CONNECT_TIMEOUT_MS = 2_000;

/** How long an unused connection is kept, in ms. */
const IDLE_TIMEOUT_MS = 60_000;

/** What {@link createPool} needs. */
export interface PoolParts {
  /** Where queries go: PostgreSQL itself or a transaction pooler in front of the primary. */
  readonly url: string;
  /** Most connections. */
  readonly size: number;
  readonly logger: Logger;
  /** Shown in `pg_stat_activity`; default `latchkey`. */
  readonly applicationName?: string;
}

/**
 * A connection pool that relies on nothing a transaction pooler does not keep: no session settings, no start-up
 * options beyond the application's name, no LISTEN. Nothing connects until the first query.
 *
 * A connection that breaks, idle or in use, is dropped and logged; it never brings the process down.
 */
export function createPool({ url, size, logger, applicationName = 'latchkey' }: PoolParts): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: size,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    allowExitOnIdle: true,
  });
  // The pool listens on idle clients only; a client that is checked out would raise an uncaught 'error'.
  pool.on('connect', (client) => {
    client.on('error', (error) => logger.debug('database connection broke', { error }));
  });
  pool.on('error', (error) => logger.debug('idle database connection broke', { error }));
  return pool;
}
