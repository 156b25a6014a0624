import { rm } from 'node:fs/promises';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { systemTimers } from '../../src/observability/system-timers.js';
import { silentLogger } from '../../src/ports/logger.js';
import { startEmbeddedPostgres } from '../../src/store/embedded/embedded-postgres.js';
import { migrate } from '../../src/store/postgres/migrate.js';
import { passableTempDir } from './temp-dir.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Superuser's connection to database `postgres` of the server that the whole run shares. */
    readonly postgresUrl: string;
  }
}

/** A database with the schema and nothing in it; test databases are copies of it. */
export const TEMPLATE = 'latchkey_template';

interface SharedServer {
  readonly adminUrl: string;
  stop(): Promise<void>;
}

// Each project of a run loads this file for itself, in one process: the server is shared through the global object.
const shared = globalThis as typeof globalThis & {
  latchkeyTestServer?: { readonly server: Promise<SharedServer>; users: number };
};

/** Starts PostgreSQL before the first project that needs it, and stops it after the last. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  shared.latchkeyTestServer ??= { server: startServer(), users: 0 };
  const entry = shared.latchkeyTestServer;
  entry.users++;
  project.provide('postgresUrl', (await entry.server).adminUrl);
  return async () => {
    entry.users--;
    if (entry.users > 0) return;
    delete shared.latchkeyTestServer;
    await (await entry.server).stop();
  };
}

async function startServer(): Promise<SharedServer> {
  const dataDir = await passableTempDir('latchkey-test-');
  const server = await startEmbeddedPostgres({
    dataDir,
    logger: silentLogger,
    timers: systemTimers,
    // Nothing here needs to survive the machine; the durability of commits is tested on servers of their own.
    settings: { fsync: 'off', full_page_writes: 'off', max_connections: '300', shared_buffers: '64MB' },
  });
  const admin = new URL(server.url);
  admin.pathname = '/postgres';
  const adminUrl = admin.href;
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  await client.query(`CREATE DATABASE ${TEMPLATE}`);
  await client.end();
  const template = new URL(adminUrl);
  template.pathname = `/${TEMPLATE}`;
  await migrate({ url: template.href, logger: silentLogger });
  return {
    adminUrl,
    stop: async () => {
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
