import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import pg from 'pg';
import { Failure } from '../../domain/failure.js';
import type { Timers } from '../../ports/clock.js';
import type { Logger } from '../../ports/logger.js';
import { type Account, canReach, chooseAccount } from './account.js';
import { type Binaries, findBinaries } from './binaries.js';
import { lockDataDir } from './data-lock.js';
import { LOCAL_LIMITS } from './local-limits.js';
import { pause } from './pause.js';
import {
  type Launch,
  launchAs,
  type Postmaster,
  serverEnvironment,
  startPostmaster,
  stopOrphan,
} from './postmaster.js';

/** Name of the database and of its owner. */
const NAME = 'latchkey';

/** Longest time, in ms, that the making of a cluster may take. */
const INITDB_MS = 120_000;

/** Longest pause, in ms, before a server that died by itself is started again. */
const RESTART_MAX_MS = 10_000;

/** What {@link startEmbeddedPostgres} needs. */
export interface EmbeddedPostgresOptions {
  /** Made if absent. Everything that is kept lies in it. */
  readonly dataDir: string;
  readonly logger: Logger;
  readonly timers: Timers;
  /** Server settings beyond the defaults; for tests. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** PostgreSQL of one's own. */
export interface EmbeddedPostgres {
  /** Superuser's connection on loopback; holds the password. Stays the same until `stop`. */
  readonly url: string;
  /** Stops the server and gives the directory back. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts PostgreSQL in a directory of this process alone, making the cluster on the first start.
 *
 * - As root too: PostgreSQL then runs as an existing unprivileged account (see {@link chooseAccount}).
 * - It listens on a free loopback port and wants a random password, which is kept in the directory, readable by this
 *   process's user only.
 * - A second start on the same directory is refused with the number of the process that has it.
 * - After `kill -9` of this process the next start stops the server that was left behind and recovers. A cluster that
 *   was only half made is made again.
 * - A server that dies by itself is started again on the same port.
 *
 * Rejects with a `Failure` whose message says what to do.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { logger, timers, settings = {} } = options;
  if (process.platform === 'win32') {
    throw new Failure('unavailable', 'There is no embedded PostgreSQL on Windows. Set DATABASE_URL.');
  }
  const dataDir = await makeDataDir(options.dataDir);
  const release = await lockDataDir(dataDir);
  try {
    const clusterDir = join(dataDir, 'postgres');
    await stopOrphan(clusterDir, logger, timers);
    const account = await chooseAccount(clusterDir);
    const closed = !(await canReach(account, dataDir));
    const binaries = await findBinaries(join(dataDir, 'bin'), closed ? { ...account, canReachAll: true } : account);
    const password = await readPassword(join(dataDir, 'postgres.password'));
    const launch = (program: string, args: readonly string[]) => launchAs(account, program, args, closed);
    await makeCluster({ clusterDir, dataDir, account, binaries, password, launch });
    const urlTo = (database: string, port: number) => `postgres://${NAME}:${password}@127.0.0.1:${port}/${database}`;
    const start = (port: number | null) =>
      startPostmaster({
        launch: (args) => launch(binaries.postgres, args),
        clusterDir,
        logFile: join(dataDir, 'postgres.log'),
        probeUrl: (candidate) => urlTo('postgres', candidate),
        settings,
        port,
        timers,
      });
    const first = await start(null);
    try {
      await makeDatabase(urlTo('postgres', first.port));
    } catch (error) {
      await first.stop();
      throw error;
    }
    logger.info('embedded PostgreSQL is running', { dataDir, port: first.port, pid: first.pid, account: account.name });
    const keeper = keepRunning(first, start, logger, timers);
    let stopping: Promise<void> | null = null;
    return {
      url: urlTo(NAME, first.port),
      stop: () => {
        stopping ??= (async () => {
          try {
            await keeper.stop();
          } finally {
            await release();
          }
        })();
        return stopping;
      },
    };
  } catch (error) {
    await release();
    throw error instanceof Failure
      ? error
      : new Failure('unavailable', `The embedded PostgreSQL cannot be started in ${dataDir}.`, { cause: error });
  }
}

/** Makes the directory, passable for the account that the server runs as when that is not this process's. */
async function makeDataDir(path: string): Promise<string> {
  const mode = process.getuid?.() === 0 ? 0o711 : 0o700;
  try {
    await mkdir(resolve(path), { recursive: true, mode });
    return await realpath(path);
  } catch (cause) {
    throw new Failure(
      'unavailable',
      `The data directory ${path} cannot be made or entered. Set LATCHKEY_DATA_DIR to a directory that this user can write.`,
      { cause },
    );
  }
}

async function readPassword(file: string): Promise<string> {
  try {
    await writeFile(file, `${randomBytes(24).toString('hex')}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return (await readFile(file, 'utf8')).trim();
}

interface ClusterOptions {
  readonly clusterDir: string;
  readonly dataDir: string;
  readonly account: Account;
  readonly binaries: Binaries;
  readonly password: string;
  readonly launch: (program: string, args: readonly string[]) => Launch;
}

/** Makes the cluster if it does not exist; under another name until it is whole. */
async function makeCluster({
  clusterDir,
  dataDir,
  account,
  binaries,
  password,
  launch,
}: ClusterOptions): Promise<void> {
  if ((await stat(join(clusterDir, 'PG_VERSION')).catch(() => null)) !== null) return;
  const partial = join(dataDir, 'postgres.partial');
  const passwordFile = join(dataDir, 'initdb.password');
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { mode: 0o700 });
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  if (account.ids !== null) {
    await chown(partial, account.ids.uid, account.ids.gid);
    await chown(passwordFile, account.ids.uid, account.ids.gid);
  }
  // The mode of a new directory is subject to the umask; PostgreSQL insists on 0700.
  await chmod(partial, 0o700);
  try {
    await run(
      launch(binaries.initdb, [
        `--pgdata=${partial}`,
        `--username=${NAME}`,
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--no-locale',
        '--no-instructions',
      ]),
    );
  } finally {
    await rm(passwordFile, { force: true });
  }
  await rm(clusterDir, { recursive: true, force: true });
  await rename(partial, clusterDir);
}

async function run({ command, args, ids }: Launch): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const child = spawn(command, args, {
      ...ids,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: serverEnvironment(),
      timeout: INITDB_MS,
    });
    let words = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      words = (words + chunk).slice(-2_000);
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Failure('unavailable', `PostgreSQL's initdb failed. Its own words: ${words.trim() || 'none'}`));
    });
  });
}

async function makeDatabase(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString, ...LOCAL_LIMITS });
  client.on('error', () => {});
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [NAME]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${NAME}`);
  } finally {
    await client.end();
  }
}

/** Starts the server again whenever it ends by itself, until told to stop. */
function keepRunning(first: Postmaster, start: (port: number) => Promise<Postmaster>, logger: Logger, timers: Timers) {
  const stopped = new AbortController();
  let current: Postmaster | null = first;
  const keeping = (async () => {
    for (let failures = 0; ; ) {
      await current?.ended;
      if (stopped.signal.aborted) return;
      logger.error('the embedded PostgreSQL ended by itself; starting it again');
      const pauseMs = Math.min(RESTART_MAX_MS, 100 * 2 ** failures);
      await pause(timers, pauseMs, stopped.signal);
      if (stopped.signal.aborted) return;
      try {
        current = await start(first.port);
        failures = 0;
        // The order to stop came while it was being started.
        if (stopped.signal.aborted) return await current.stop();
      } catch (error) {
        current = null;
        failures = Math.min(failures + 1, 20);
        logger.error('the embedded PostgreSQL could not be started again', { error });
      }
    }
  })();
  return {
    stop: async () => {
      stopped.abort();
      await current?.stop();
      await keeping;
    },
  };
}
