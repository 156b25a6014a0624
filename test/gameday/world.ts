import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashRawKey, keyHashToBytes, mintRawKey } from '../../src/domain/raw-key.js';
import { silentLogger } from '../../src/ports/logger.js';
import { migrate } from '../../src/store/postgres/migrate.js';
import type { PostgresServer } from '../support/postgres-server.js';
import type { Env } from '../support/program.js';
import { GameSidecar } from './sidecar.js';

/** Where a scenario plays: two sidecars, their database, keys to ask about. */
export interface World {
  /** The server under the sidecars; `null`: the embedded one, which is theirs. */
  readonly server: PostgresServer | null;
  readonly sidecars: readonly GameSidecar[];
  /** Raw keys that stay good. */
  readonly live: readonly string[];
  /** Cookie of a session of their account. */
  readonly session: string;
  /** Where the embedded server keeps its data. */
  readonly dataDir?: string;
  close(): Promise<void>;
}

/** A database that is ready for sidecars. */
export interface ReadyDatabase {
  readonly server: PostgresServer;
  /** Of the role {@link SIDECAR_ROLE}; any host name that resolves to loopback may be put in. */
  readonly url: string;
  readonly live: readonly string[];
  readonly session: string;
}

/** The role that sidecars work as: with the rights that docs/operations.md names, and no others. */
export const SIDECAR_ROLE = 'sidecar';

/** Length of a lease in ms: short, so that a short fault outlives it. */
export const LEASE_MS = 1_000;

const ACCOUNT = 'game-day';
const LIVE_KEYS = 40;

/** Settings of every sidecar. */
export const COMMON: Env = {
  LATCHKEY_LEASE_MS: String(LEASE_MS),
  LATCHKEY_WORKFLOW_OWNERSHIP: 'trust',
  LATCHKEY_KEY_CREATIONS_PER_MINUTE: '100000',
  LATCHKEY_MAX_ACTIVE_KEYS: '100000',
};

/** Migrates a server, makes the role that sidecars use, and fills in keys and a session. */
export async function readyDatabase(server: PostgresServer): Promise<ReadyDatabase> {
  await migrate({ url: server.url, logger: silentLogger });
  const password = randomBytes(12).toString('hex');
  await server.query(`CREATE ROLE ${SIDECAR_ROLE} LOGIN PASSWORD '${password}'`);
  await server.query(`GRANT USAGE ON SCHEMA latchkey TO ${SIDECAR_ROLE}`);
  await server.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA latchkey TO ${SIDECAR_ROLE}`);
  const token = randomBytes(16).toString('hex');
  await server.query(
    `INSERT INTO latchkey.sessions (token_hash, account_id, expires_at) VALUES ($1, $2, now() + interval '1 day')`,
    [createHash('sha256').update(token).digest(), ACCOUNT],
  );
  const live = Array.from({ length: LIVE_KEYS }, mintRawKey);
  await server.query(
    `INSERT INTO latchkey.api_keys (account_id, name, key_hash, key_prefix, permissions)
       SELECT $1, 'live', hash, 'nk_live_0000', '{read}' FROM unnest($2::bytea[]) AS hash`,
    [ACCOUNT, live.map((rawKey) => keyHashToBytes(hashRawKey(rawKey)))],
  );
  const url = new URL(server.url);
  url.username = SIDECAR_ROLE;
  url.password = password;
  return { server, url: url.href, live, session: `session=${token}` };
}

/** Starts two sidecars on a database. */
export async function startWorld(
  database: ReadyDatabase,
  options: { readonly env?: Env; readonly host?: string; readonly ca?: string } = {},
): Promise<World> {
  const url = new URL(database.url);
  if (options.host !== undefined) url.hostname = options.host;
  const env = { ...COMMON, DATABASE_URL: url.href, LATCHKEY_SESSION_MODE: 'table', ...options.env };
  const sidecars = await Promise.all(['a', 'b'].map((name) => GameSidecar.create(name, env, options.ca ?? null)));
  await Promise.all(sidecars.map((sidecar) => sidecar.start()));
  return {
    server: database.server,
    sidecars,
    live: database.live,
    session: database.session,
    close: async () => {
      await Promise.all(sidecars.map((sidecar) => sidecar.stop()));
    },
  };
}

/** The embedded database of a world, as its owner. */
export async function embeddedUrl({ sidecars, dataDir }: World): Promise<string> {
  const line = sidecars[0]?.logLine('embedded PostgreSQL is running');
  if (line === undefined || dataDir === undefined) throw new Error('this world has no embedded database');
  const password = (await readFile(join(dataDir, 'postgres.password'), 'utf8')).trim();
  return `postgres://latchkey:${password}@127.0.0.1:${String(line['port'])}/latchkey`;
}

/** Starts one sidecar of two workers on the embedded database in a directory. */
export async function startEmbeddedWorld(dataDir: string): Promise<World> {
  const sidecar = await GameSidecar.create('embedded', {
    ...COMMON,
    LATCHKEY_DATA_DIR: dataDir,
    LATCHKEY_WORKERS: '2',
  });
  await sidecar.start();
  const session = 'latchkey_dev_session=dev';
  const live = await Promise.all(
    Array.from({ length: LIVE_KEYS }, async (_, index) => {
      const { body } = await sidecar.rest('POST', '/api/keys', session, { name: `live ${index}` });
      return String(body['raw_key']);
    }),
  );
  return { server: null, sidecars: [sidecar], live, session, dataDir, close: () => sidecar.stop() };
}
