import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CertificateAuthority } from '../support/certificates.js';
import { testDatabase } from '../support/database.js';
import { stopGrpcServers } from '../support/grpc.js';
import { type Ended, FREE_PORTS, Program, runProgram } from '../support/program.js';
import { passableTempDir } from '../support/temp-dir.js';
import { startTlsServer } from '../support/tls-server.js';

const ACCOUNT = 'acme';
const WORKFLOW = 'workflow-1';

/** A command's answer as JSON; fails the test when it was not the exit code that was expected. */
async function json<T>(args: readonly string[], env: Record<string, string>, code = 0, input = ''): Promise<T> {
  const ended = await runProgram([...args, '--json'], env, input);
  expect(ended.code, ended.stderr).toBe(code);
  return JSON.parse(ended.stdout) as T;
}

interface Key {
  readonly id: string;
  readonly name: string;
  readonly key_prefix: string;
  readonly raw_key: string;
  readonly revoked_at: string | null;
  readonly expires_at: string | null;
  readonly receipt: Receipt | null;
}

interface Receipt {
  readonly sequence: number;
  readonly confirmed_in_ms: number;
  readonly sidecars: { readonly acknowledged: number; readonly expired: number };
}

describe('the commands, on a database of the platform', async () => {
  const database = await testDatabase({ empty: true });
  const env = { DATABASE_URL: database.url, LATCHKEY_GRPC_ADDRESS: '127.0.0.1:1' };
  let sidecar: Program;
  let grpc = '';

  beforeAll(async () => {
    await expectMigrationsPlanned();
    await database.query('INSERT INTO latchkey.workflows (id, account_id, name) VALUES ($1, $2, $3)', [
      WORKFLOW,
      ACCOUNT,
      'First',
    ]);
    sidecar = new Program(['serve'], { ...FREE_PORTS, DATABASE_URL: database.url, LATCHKEY_SESSION_MODE: 'table' });
    grpc = (await sidecar.ready()).grpc[0] ?? '';
  });
  afterAll(async () => {
    sidecar.kill('SIGKILL');
    await sidecar.ended;
  });

  async function expectMigrationsPlanned(): Promise<void> {
    const refused = await runProgram(['keys', 'list', '--account', ACCOUNT], env);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toContain('latchkey migrate');
    const { pending } = await json<{ pending: string[] }>(['migrate', '--plan'], env);
    expect(pending.length).toBeGreaterThan(0);
    expect(await json(['migrate'], env)).toEqual({ applied: pending });
    expect(await json(['migrate'], env)).toEqual({ applied: [] });
    expect(await json(['migrate', '--plan'], env)).toEqual({ applied: pending, pending: [], unknown: [] });
  }

  const create = (name: string, ...more: string[]) =>
    json<Key>(['keys', 'create', name, '--account', ACCOUNT, ...more], env);
  const list = (...more: string[]) => json<Key[]>(['keys', 'list', '--account', ACCOUNT, ...more], env);
  const check = (key: string, method: string, ...more: string[]): Promise<Ended> =>
    runProgram(['check', '-', WORKFLOW, method, ...more], env, `${key}\n`);

  it('show a raw key once, and never again', async () => {
    const key = await create('Night shift', '--workflow', WORKFLOW, '--permissions', 'read', '--expires', '30d');
    expect(key).toMatchObject({ name: 'Night shift', key_prefix: key.raw_key.slice(0, 12), permissions: ['read'] });
    expect(key.expires_at).not.toBeNull();
    const text = JSON.stringify(await list('--revoked')) + (await runProgram(['keys', 'history', key.id], env)).stdout;
    expect(text).toContain(key.id);
    expect(text).not.toContain(key.raw_key.slice(12));
  });

  it('refuse a workflow of somebody else', async () => {
    const { code, stderr } = await runProgram(
      ['keys', 'create', 'x', '--account', 'other', '--workflow', WORKFLOW],
      env,
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(/^latchkey: .*workflow/i);
  });

  it('ask a sidecar, which says granted with 0 and denied with 3', async () => {
    const key = await create('asker', '--permissions', 'read');
    const granted = await check(key.raw_key, 'nodes.getOutput', '--address', grpc);
    expect(granted.stdout).toMatch(/^GRANTED\n/);
    expect(granted).toMatchObject({ code: 0, stderr: '' });
    const denied = await check(key.raw_key, 'nodes.setConfig', '--address', grpc);
    expect(denied.stdout).toMatch(/^PERMISSION_MISSING\n/);
    expect(denied.code).toBe(3);
    expect((await check('nk_live_short', 'nodes.getOutput', '--address', grpc)).stdout).toMatch(/^KEY_MALFORMED\n/);
  });

  it('read the database where no sidecar answers, and say so', async () => {
    const key = await create('reader');
    const granted = await json<object>(['check', key.raw_key, WORKFLOW, 'nodes.getOutput'], env);
    expect(granted).toMatchObject({ decision: 'ALLOW', reason: 'GRANTED', key_id: key.id, source: 'database' });
    const denied = await json<object>(['check', key.raw_key, '', 'nodes.getOutput'], env, 3);
    expect(denied).toMatchObject({ decision: 'DENY', reason: 'WORKFLOW_REQUIRED', source: 'database' });
  });

  it('read the database where a sidecar would not talk, and say why; fail with 1 where it was named', async () => {
    const key = await create('reader beside TLS');
    const dir = await passableTempDir('latchkey-commands-tls-');
    const address = await startTlsServer(dir, new CertificateAuthority('servers'), { ips: ['127.0.0.1'] });
    const args = ['check', '-', WORKFLOW, 'nodes.getOutput'];
    const asked = await runProgram(args, { ...env, LATCHKEY_GRPC_ADDRESS: address }, key.raw_key);
    expect(asked).toMatchObject({ code: 0, stdout: expect.stringMatching(/decided by +database/) });
    expect(asked.stderr).toContain(`somebody listens at ${address} but would not talk`);
    expect(asked.stderr).toContain('--tls-ca');
    const named = await runProgram([...args, '--address', address], env, key.raw_key);
    expect(named).toMatchObject({ code: 1, stdout: '' });
    expect(named.stderr).toContain(`somebody listens at ${address} but would not talk`);
    await stopGrpcServers();
    await rm(dir, { recursive: true, force: true });
  });

  it('fail with 1 where the sidecar that was named does not answer', async () => {
    const ended = await check('nk_live_x', 'nodes.getOutput', '--address', '127.0.0.1:1');
    expect(ended).toMatchObject({ code: 1, stdout: '' });
    expect(ended.stderr).toContain('no sidecar answers at 127.0.0.1:1');
  });

  it('revoke a key at every sidecar, and print the receipt', async () => {
    const key = await create('short-lived');
    expect((await check(key.raw_key, 'nodes.getOutput', '--address', grpc)).code).toBe(0);
    const first = await json<{ already_revoked: boolean; receipt: Receipt }>(['keys', 'revoke', key.id], env);
    expect(first.already_revoked).toBe(false);
    expect(first.receipt.sidecars.acknowledged + first.receipt.sidecars.expired).toBe(1);
    expect((await check(key.raw_key, 'nodes.getOutput', '--address', grpc)).stdout).toMatch(/^KEY_REVOKED\n/);
    const again = await runProgram(['keys', 'revoke', key.id], env);
    expect(again.code).toBe(0);
    expect(again.stdout).toMatch(/had been revoked before.*refused everywhere[\s\S]*sidecars +1 acknowledged/);
    expect((await list()).map(({ id }) => id)).not.toContain(key.id);
    expect((await list('--revoked')).map(({ id }) => id)).toContain(key.id);
  });

  it('revoke waits for a sidecar that died, and has forgotten it afterwards', async () => {
    const dead = new Program(['serve'], { ...FREE_PORTS, DATABASE_URL: database.url, LATCHKEY_SESSION_MODE: 'table' });
    await dead.ready();
    dead.kill('SIGKILL');
    await dead.ended;
    const key = await create('outlived');
    const { receipt } = await json<{ receipt: Receipt }>(['keys', 'revoke', key.id], env);
    expect(receipt.sidecars.expired).toBeGreaterThanOrEqual(1);
    expect(await database.query('SELECT FROM latchkey.sidecars')).toHaveLength(1);
  });

  it('rotate a key: the old one dies at once, or after the overlap', async () => {
    const key = await create('rotating');
    const second = await json<Key>(['keys', 'rotate', key.id], env);
    expect(second.receipt).not.toBeNull();
    expect((await check(key.raw_key, 'nodes.getOutput', '--address', grpc)).stdout).toMatch(/^KEY_REVOKED\n/);
    expect((await check(second.raw_key, 'nodes.getOutput', '--address', grpc)).stdout).toMatch(/^GRANTED\n/);
    const third = await json<Key>(['keys', 'rotate', second.id, '--overlap', '1h'], env);
    expect(third.receipt).toBeNull();
    for (const { raw_key } of [second, third]) {
      expect((await check(raw_key, 'nodes.getOutput', '--address', grpc)).stdout).toMatch(/^GRANTED\n/);
    }
    const history = await json<{ action: string; actor: string }[]>(['keys', 'history', key.id], env);
    expect(history.map(({ action }) => action)).toEqual(['created', 'rotated']);
    for (const { actor } of history) expect(actor).toMatch(/^cli:/);
  });

  it.each(['revoke', 'rotate', 'history'])('%s says that there is no such key', async (command) => {
    for (const id of ['00000000-0000-4000-8000-00000000dead', 'no-uuid', "'; DROP TABLE latchkey.api_keys; --"]) {
      const { code, stdout, stderr } = await runProgram(['keys', command, id], env);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toContain('no such key');
    }
  });

  it('doctor finds nothing wrong where nothing is', async () => {
    const healthy = { ...FREE_PORTS, DATABASE_URL: database.url, LATCHKEY_SESSION_MODE: 'table' };
    const { findings, ...rest } = await json<{ findings: { subject: string }[] }>(['doctor'], healthy);
    expect(rest).toEqual({ healthy: true });
    const subjects = findings.map(({ subject }) => subject);
    for (const subject of ['configuration', 'database', 'clock', 'LISTEN', 'schema', 'sessions (table)']) {
      expect(subjects).toContain(subject);
    }
  });

  it('doctor names what is wrong and how to mend it, with 1', async () => {
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(0, '127.0.0.1', resolve));
    const { port } = squatter.address() as { port: number };
    const wrong = new URL(database.url);
    wrong.password = 'wrong';
    const { findings } = await json<{ findings: { subject: string; severity: string; remedy: string | null }[] }>(
      ['doctor'],
      {
        ...FREE_PORTS,
        DATABASE_URL: wrong.href,
        LATCHKEY_SESSION_MODE: 'jwt',
        LATCHKEY_JWT_ISSUER: 'i',
        LATCHKEY_JWT_AUDIENCE: 'a',
        LATCHKEY_JWT_JWKS_URL: `http://127.0.0.1:1/jwks`,
        LATCHKEY_HTTP_ADDRESS: `127.0.0.1:${port}`,
        LATCHKEY_METHODS_FILE: '/nonexistent.json',
        LATCHKEY_TLS_CERT: '/nonexistent.pem',
        LATCHKEY_TLS_KEY: 'package.json',
      },
      1,
    );
    await new Promise((resolve) => squatter.close(resolve));
    const failed = findings.filter(({ severity }) => severity === 'fail');
    expect(failed.map(({ subject }) => subject)).toEqual([
      'database',
      'sessions (jwt)',
      `LATCHKEY_HTTP_ADDRESS 127.0.0.1:${port}`,
      'LATCHKEY_METHODS_FILE /nonexistent.json',
      'LATCHKEY_TLS_KEY package.json',
      'LATCHKEY_TLS_CERT /nonexistent.pem',
    ]);
    for (const { remedy } of failed) expect(remedy).toEqual(expect.any(String));
    expect(JSON.stringify(findings)).not.toContain('wrong@');
  });
});

describe('the commands, on the embedded database', () => {
  let dataDir: string;
  let env: Record<string, string>;
  beforeAll(async () => {
    dataDir = await passableTempDir('latchkey-commands-');
    env = { ...FREE_PORTS, LATCHKEY_DATA_DIR: dataDir, LATCHKEY_GRPC_ADDRESS: '127.0.0.1:1' };
  });
  afterAll(() => rm(dataDir, { recursive: true, force: true }));

  it('work without a sidecar, and together with one, on the same data', async () => {
    // Nothing is there: the database is made, used and stopped.
    const before = await json<Key>(['keys', 'create', 'before'], env);
    const sidecar = new Program(['serve'], { ...env, ...FREE_PORTS });
    try {
      const { grpc } = await sidecar.ready();
      const during = await json<Key>(['keys', 'create', 'during'], env);
      const names = (await json<Key[]>(['keys', 'list'], env)).map(({ name }) => name);
      expect(names).toEqual(['during', 'before']);
      for (const { raw_key } of [before, during]) {
        const workflow = '00000000-0000-4000-8000-000000000002';
        const args = ['check', '-', workflow, 'nodes.getOutput', '--address', grpc[0] ?? ''];
        expect(await json(args, env, 0, raw_key)).toMatchObject({ reason: 'GRANTED', account_id: 'dev' });
      }
      const { receipt } = await json<{ receipt: Receipt }>(['keys', 'revoke', during.id], env);
      expect(receipt.sidecars).toEqual({ acknowledged: 1, expired: 0 });
      expect((await runProgram(['doctor'], env)).stdout).toContain('a notification arrived');
    } finally {
      sidecar.kill('SIGTERM');
      await sidecar.ended;
    }
    expect((await json<Key[]>(['keys', 'list', '--revoked'], env)).map(({ name }) => name)).toEqual([
      'during',
      'before',
    ]);
  });
});
