import { chmod, chown, cp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { systemTimers } from '../../src/observability/system-timers.js';
import { silentLogger } from '../../src/ports/logger.js';
import { type Account, chooseAccount } from '../../src/store/embedded/account.js';
import { type Binaries, findBinaries } from '../../src/store/embedded/binaries.js';
import { processExists } from '../../src/store/embedded/data-lock.js';
import { startEmbeddedPostgres } from '../../src/store/embedded/embedded-postgres.js';
import { launchAs, type Postmaster, startPostmaster } from '../../src/store/embedded/postmaster.js';
import { passableTempDir } from './temp-dir.js';
import { waitUntil } from './wait-until.js';

const NAME = 'latchkey';

/**
 * A PostgreSQL server of a test's own, with a port that it keeps over restarts. fsync is on: what it confirms survives
 * `kill`.
 */
export class PostgresServer {
  #postmaster: Postmaster | null = null;

  private constructor(
    private readonly dataDir: string,
    private readonly account: Account,
    private readonly binaries: Binaries,
    private readonly password: string,
    private readonly settings: Readonly<Record<string, string>>,
    private port: number | null,
  ) {}

  /** Makes a new server with an empty database `latchkey`. Ended with {@link destroy}. */
  static async create(settings: Readonly<Record<string, string>> = {}): Promise<PostgresServer> {
    const dataDir = await passableTempDir('latchkey-server-');
    const embedded = await startEmbeddedPostgres({ dataDir, logger: silentLogger, timers: systemTimers });
    const { password, port } = new URL(embedded.url);
    await embedded.stop();
    const account = await chooseAccount(join(dataDir, 'postgres'));
    const binaries = await findBinaries(join(dataDir, 'bin'), account);
    const server = new PostgresServer(dataDir, account, binaries, password, settings, Number(port));
    await server.start();
    return server;
  }

  get url(): string {
    return this.#urlTo(NAME);
  }

  /** Process number of the server while it runs. */
  get pid(): number | null {
    return this.#postmaster?.pid ?? null;
  }

  #urlTo(database: string): string {
    return `postgres://${NAME}:${this.password}@127.0.0.1:${this.port}/${database}`;
  }

  /** Starts a server that was stopped or killed; resolves when it answers. */
  async start(): Promise<void> {
    if (this.#postmaster !== null) return;
    this.#postmaster = await startPostmaster({
      launch: (args) => launchAs(this.account, this.binaries.postgres, args, false),
      clusterDir: join(this.dataDir, 'postgres'),
      logFile: join(this.dataDir, 'postgres.log'),
      probeUrl: (port) => `postgres://${NAME}:${this.password}@127.0.0.1:${port}/postgres`,
      settings: { shared_buffers: '32MB', ...this.settings },
      port: this.port,
      timers: systemTimers,
    });
    this.port = this.#postmaster.port;
  }

  /** Fast shutdown: sessions are cut, everything is written. */
  async stop(): Promise<void> {
    const postmaster = this.#postmaster;
    this.#postmaster = null;
    await postmaster?.stop();
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** SIGKILL, as a power cut for the server: nothing is written, the next start recovers. */
  async kill(): Promise<void> {
    const postmaster = this.#postmaster;
    this.#postmaster = null;
    if (postmaster === null) return;
    process.kill(postmaster.pid, 'SIGKILL');
    await waitUntil('the server is gone', () => !processExists(postmaster.pid));
  }

  /** Runs one statement as superuser on a connection of its own. */
  async query<R extends pg.QueryResultRow = pg.QueryResultRow>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<R[]> {
    const client = new pg.Client({ connectionString: this.url });
    client.on('error', () => {});
    await client.connect();
    try {
      return (await client.query<R>(text, values as unknown[])).rows;
    } finally {
      await client.end();
    }
  }

  /**
   * Makes a streaming standby of this server, which must run; resolves when it follows. To make commits wait for it,
   * then set `synchronous_standby_names` to `*` here ({@link set}).
   */
  async createStandby(settings: Readonly<Record<string, string>> = {}): Promise<PostgresServer> {
    const dataDir = await passableTempDir('latchkey-standby-');
    const clusterDir = join(dataDir, 'postgres');
    const client = new pg.Client({ connectionString: this.url });
    await client.connect();
    try {
      await client.query("SELECT pg_create_physical_replication_slot('standby_' || pg_backend_pid(), true)");
      const [slot] = (await client.query<{ name: string }>("SELECT 'standby_' || pg_backend_pid() AS name")).rows;
      // The same as pg_basebackup, which the package does not ship: a copy between two marks, and the log since the first.
      await client.query("SELECT pg_backup_start('standby', true)");
      await cp(join(this.dataDir, 'postgres'), clusterDir, {
        recursive: true,
        preserveTimestamps: true,
        filter: (source) => !/postmaster\.(pid|opts)$|pg_wal\/.+|pg_replslot\/.+|pgsql_tmp/.test(source),
      });
      const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)');
      await writeFile(join(clusterDir, 'backup_label'), rows[0]?.labelfile ?? '');
      await writeFile(join(clusterDir, 'standby.signal'), '');
      await takeOwnership(clusterDir, this.account);
      const standby = new PostgresServer(
        dataDir,
        this.account,
        this.binaries,
        this.password,
        {
          ...settings,
          primary_conninfo: `host=127.0.0.1 port=${this.port} user=${NAME} password=${this.password} application_name=standby`,
          primary_slot_name: slot?.name ?? '',
        },
        null,
      );
      await standby.start();
      return standby;
    } finally {
      await client.end();
    }
  }

  /** Changes a setting while the server runs, for all sessions. */
  async set(name: string, value: string): Promise<void> {
    await this.query(`ALTER SYSTEM SET ${name} = '${value.replaceAll("'", "''")}'`);
    await this.query('SELECT pg_reload_conf()');
  }

  /** Makes a standby a primary; resolves when it accepts writes. */
  async promote(): Promise<void> {
    await this.query('SELECT pg_promote(true, 60)');
  }

  /** Stops the server and deletes its files. */
  async destroy(): Promise<void> {
    await this.stop();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

async function takeOwnership(directory: string, { ids }: Account): Promise<void> {
  if (ids === null) return;
  await chmod(directory, 0o700);
  await chown(directory, ids.uid, ids.gid);
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    await chown(join(entry.parentPath, entry.name), ids.uid, ids.gid);
  }
}
