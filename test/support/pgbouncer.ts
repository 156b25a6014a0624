import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, PeerProcess } from './peers-process.js';

/** A PgBouncer that lends server connections for one transaction each. */
export interface PgBouncer {
  /** The pooled database. */
  readonly url: string;
  /** What it wrote so far. */
  readonly text: string;
  stop(): Promise<void>;
}

/**
 * Starts PgBouncer in transaction mode in front of a database on loopback.
 *
 * @param poolSize server connections at most: few, so that clients really share them
 */
export async function startPgBouncer(program: string, databaseUrl: string, poolSize: number): Promise<PgBouncer> {
  const { hostname, port: serverPort, username, password, pathname } = new URL(databaseUrl);
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-pgbouncer-'));
  const file = join(folder, 'pgbouncer.ini');
  const database = pathname.slice(1);
  await writeFile(
    file,
    `[databases]
${database} = host=${hostname} port=${serverPort} dbname=${database} user=${username} password='${password}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${poolSize}
max_client_conn = 200
`,
  );
  // It refuses to be root, and the account that it becomes must be able to read this.
  await chmod(folder, 0o755);
  const asRoot = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const process_ = PeerProcess.start('pgbouncer', program, [...asRoot, file]);
  await process_.waitForPort(port);
  const url = new URL(databaseUrl);
  url.port = String(port);
  return {
    url: url.href,
    get text() {
      return process_.text;
    },
    stop: async () => {
      await process_.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
