import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommandConfig } from '../config.js';
import { Failure } from '../domain/failure.js';
import type { CleanupStack } from '../lifecycle.js';
import { systemTimers } from '../observability/system-timers.js';
import type { Logger } from '../ports/logger.js';
import { pause } from '../ports/pause.js';
import { startEmbeddedPostgres } from '../store/embedded/embedded-postgres.js';
import { seedWorkflows } from '../store/embedded/seed.js';
import { assertSchemaKnown, migrate } from '../store/postgres/migrate.js';

/** Where a command finds its database. */
export interface DatabaseLocation {
  readonly url: string;
  readonly listenUrl: string;
}

/**
 * - `require`: the schema must fit this program; that of an embedded database is brought up to date.
 * - `leave`: whatever is there.
 */
export type SchemaRule = 'require' | 'leave';

/** How often, and how long in ms in between, a server that another process is just starting or stopping is tried. */
const ATTEMPTS = 50;
const PAUSE_MS = 200;

/**
 * Finds the configured database. An embedded one that a sidecar runs is shared with it; one that is not running is
 * started, and stopped by unwinding the stack. Rejects with a `Failure`.
 */
export async function openDatabase(
  { database }: CommandConfig,
  logger: Logger,
  cleanups: CleanupStack,
  schema: SchemaRule = 'require',
): Promise<DatabaseLocation> {
  if (database.kind === 'url') {
    if (schema === 'require') await assertSchemaKnown(database.listenUrl);
    return database;
  }
  const url = await openEmbedded(database.dataDir, logger, cleanups, schema);
  return { url, listenUrl: url };
}

async function openEmbedded(
  dataDir: string,
  logger: Logger,
  cleanups: CleanupStack,
  schema: SchemaRule,
): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      const embedded = await startEmbeddedPostgres({ dataDir, logger, timers: systemTimers });
      cleanups.defer('embedded PostgreSQL', () => embedded.stop());
      if (schema === 'require') {
        await migrate({ url: embedded.url, logger });
        await seedWorkflows(embedded.url);
      }
      return embedded.url;
    } catch (error) {
      // Another process has the directory, and so the server.
      if (!(error instanceof Failure) || error.kind !== 'conflict') throw error;
      const url = await runningUrl(dataDir);
      if (url !== null) {
        try {
          await assertSchemaKnown(url);
          return url;
        } catch (cause) {
          if (attempt === ATTEMPTS) throw cause;
        }
      } else if (attempt === ATTEMPTS) {
        throw error;
      }
      await pause(systemTimers, PAUSE_MS);
    }
  }
}

/** Connection URL of the server that runs in a data directory; `null` when none seems to. */
async function runningUrl(dataDir: string): Promise<string | null> {
  try {
    const password = (await readFile(join(dataDir, 'postgres.password'), 'utf8')).trim();
    // Fourth line: the port (see "postmaster.pid" in PostgreSQL's documentation of its files).
    const port = Number((await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[3]);
    return Number.isInteger(port) && port > 0 ? `postgres://latchkey:${password}@127.0.0.1:${port}/latchkey` : null;
  } catch {
    return null;
  }
}
