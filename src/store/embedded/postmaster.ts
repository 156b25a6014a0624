import { execFile, spawn } from 'node:child_process';
import { open, readFile, readlink, realpath, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { Failure } from '../../domain/failure.js';
import type { Timers } from '../../ports/clock.js';
import type { Logger } from '../../ports/logger.js';
import type { Account } from './account.js';
import { processExists } from './data-lock.js';
import { pause } from './pause.js';

const POLL_MS = 25;

/** Longest wait, in ms, for a server to accept connections: long, because it may have a crash to recover from. */
const START_MS = 120_000;

/** Longest wait for each of the two ways of stopping, in ms. */
const STOP_MS = 15_000;

/** Beyond this size, in bytes, the server's log is begun anew at a start. */
const LOG_BYTES_MAX = 10 * 1024 * 1024;

/** A command and its arguments, as some account. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly ids: { readonly uid: number; readonly gid: number } | null;
}

/**
 * How to run a program as `account`, so that it can reach files under directories that are closed to it if need be.
 *
 * @param reachClosed the program's files lie behind such a directory (root's home, for example). The account is then
 *   lent the one privilege of passing through and reading, by `setpriv`: nothing on the machine changes. It can write
 *   nothing but what is its own; that it could read what is not is the price of a data directory in such a place.
 */
export function launchAs(account: Account, program: string, args: readonly string[], reachClosed: boolean): Launch {
  if (account.ids === null || !reachClosed) return { command: program, args, ids: account.ids };
  const { uid, gid } = account.ids;
  const lent = '+dac_read_search';
  return {
    command: 'setpriv',
    args: [
      `--reuid=${uid}`,
      `--regid=${gid}`,
      '--clear-groups',
      '--no-new-privs',
      `--inh-caps=-all,${lent}`,
      `--ambient-caps=-all,${lent}`,
      `--bounding-set=-all,${lent}`,
      '--',
      program,
      ...args,
    ],
    ids: null,
  };
}

/** A running server. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  /** Resolves when the process has ended, however. */
  readonly ended: Promise<void>;
  /** Ends it: sessions are closed and everything is written; at once, without that, when it takes too long. */
  stop(): Promise<void>;
}

/** What {@link startPostmaster} needs. */
export interface PostmasterOptions {
  readonly launch: (args: readonly string[]) => Launch;
  readonly clusterDir: string;
  /** Where the server writes what it has to say. */
  readonly logFile: string;
  /** Connects to any database of the cluster, to see that it answers. */
  readonly probeUrl: (port: number) => string;
  readonly settings: Readonly<Record<string, string>>;
  /** `null`: any free one. */
  readonly port: number | null;
  readonly timers: Timers;
}

/** Starts a server on a loopback port and resolves when it answers queries. Rejects with a `Failure`. */
export async function startPostmaster(options: PostmasterOptions): Promise<Postmaster> {
  const attempts = 5;
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    const started = await tryStart(options, port);
    if (!(started instanceof Failure)) return started;
    // The port may have been taken since, and processes of a server that was killed may take a moment to be gone.
    if (attempt === attempts) throw started;
    await pause(options.timers, 200 * attempt);
  }
}

async function tryStart(options: PostmasterOptions, port: number): Promise<Postmaster | Failure> {
  const { launch, clusterDir, logFile, probeUrl, settings, timers } = options;
  const size = await stat(logFile).then(
    ({ size }) => size,
    () => 0,
  );
  const log = await open(logFile, size > LOG_BYTES_MAX ? 'w' : 'a', 0o600);
  const flags = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    // A row that is refused is not repeated in the log: it may hold what must not be stored.
    log_error_verbosity: 'terse',
    port: String(port),
    ...settings,
  };
  const { command, args, ids } = launch([
    '-D',
    clusterDir,
    ...Object.entries(flags).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ]);
  // Its own session: a Ctrl-C at the terminal is for this process, which stops the server when it has drained.
  const child = spawn(command, args, {
    ...ids,
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
    env: serverEnvironment(),
  });
  await log.close();
  let over = false;
  const ended = new Promise<void>((resolve) => {
    const end = () => {
      over = true;
      resolve();
    };
    child.once('exit', end);
    child.once('error', end);
  });
  for (let waitedMs = 0; !over && waitedMs < START_MS; waitedMs += POLL_MS) {
    if (await answers(probeUrl(port))) {
      const pid = child.pid as number;
      // From here on the server does not keep this process alive; while it starts and stops it does.
      child.unref();
      const stop = async () => {
        child.ref();
        await stopProcess(pid, async () => over, timers);
      };
      return { pid, port, ended, stop };
    }
    await pause(timers, POLL_MS);
  }
  if (!over && child.pid !== undefined) await stopProcess(child.pid, async () => over, timers);
  return new Failure('unavailable', `The embedded PostgreSQL did not start. Its own words: ${await tail(logFile)}`);
}

/** Stops what is left of a server whose Latchkey was killed, and what it left behind, so that a new one can start. */
export async function stopOrphan(clusterDir: string, logger: Logger, timers: Timers): Promise<void> {
  const pidFile = join(clusterDir, 'postmaster.pid');
  const text = await readFile(pidFile, 'utf8').catch(() => '');
  const pid = Number.parseInt(text, 10);
  if (!(pid > 1)) return;
  if (await isPostmasterOf(pid, clusterDir)) {
    logger.warn('stopping the embedded PostgreSQL that an earlier process left behind', { pid });
    await stopProcess(pid, async () => !(await isPostmasterOf(pid, clusterDir)), timers);
  }
  // The number may be another process's by now, which PostgreSQL would take for a server of its own.
  await rm(pidFile, { force: true });
}

/** Whether the process is a PostgreSQL server on this very directory. */
async function isPostmasterOf(pid: number, clusterDir: string): Promise<boolean> {
  if (!processExists(pid)) return false;
  if (process.platform === 'linux') {
    try {
      const [cwd, program] = await Promise.all([readlink(`/proc/${pid}/cwd`), readlink(`/proc/${pid}/exe`)]);
      // A server works inside its data directory. A program that was replaced on disk is "(deleted)".
      return cwd === (await realpath(clusterDir)) && /^postgres( |$)/.test(basename(program));
    } catch {
      return false;
    }
  }
  const { stdout } = await promisify(execFile)('ps', ['-o', 'command=', '-p', String(pid)]).catch(() => ({
    stdout: '',
  }));
  return stdout.includes('postgres') && stdout.includes(clusterDir);
}

/** Fast shutdown, then immediate (the next start recovers), then the end. */
async function stopProcess(pid: number, isOver: () => Promise<boolean>, timers: Timers): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    // Once it is over the number may be another process's.
    if (await isOver()) return;
    try {
      process.kill(pid, signal);
    } catch {
      return;
    }
    for (let waitedMs = 0; waitedMs < STOP_MS; waitedMs += POLL_MS) {
      if (await isOver()) return;
      await pause(timers, POLL_MS);
    }
  }
}

async function answers(connectionString: string): Promise<boolean> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 2_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('SELECT 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

/** What the server is given of the environment: no PG* variable may change where it works or how. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  return { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  if (address === null || typeof address === 'string') throw new Failure('unavailable', 'There is no free port.');
  return address.port;
}

async function tail(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.trim().split('\n').slice(-5).join(' | ') || 'none';
}
