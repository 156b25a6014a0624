import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CertificateAuthority } from '../support/certificates.js';
import { FREE_PORTS, Program, runProgram } from '../support/program.js';
import { passableTempDir } from '../support/temp-dir.js';
import { waitUntil } from '../support/wait-until.js';

const WORKFLOW = '00000000-0000-4000-8000-000000000001';

let dataDir: string;
let env: Record<string, string>;
const running = new Set<Program>();

beforeAll(async () => {
  dataDir = await passableTempDir('latchkey-process-');
  env = { ...FREE_PORTS, LATCHKEY_DATA_DIR: dataDir };
});
afterEach(async () => {
  for (const program of running) {
    program.kill('SIGKILL');
    await program.ended;
  }
  running.clear();
});
afterAll(async () => {
  await rm(dataDir, { recursive: true, force: true });
});

function serve(more: Record<string, string> = {}): Program {
  const program = new Program(['serve'], { ...env, ...more });
  running.add(program);
  return program;
}

async function createKey(http: string | null, name: string): Promise<string> {
  const response = await fetch(`${http}/api/keys`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', cookie: 'latchkey_dev_session=dev' },
    body: JSON.stringify({ name }),
  });
  expect(response.status).toBe(201);
  const { raw_key: rawKey } = (await response.json()) as { raw_key: string };
  return rawKey;
}

async function check(key: string, grpc: string | undefined): Promise<unknown> {
  const { stdout } = await runProgram(
    ['check', '-', WORKFLOW, 'nodes.getOutput', '--json', '--address', `${grpc}`],
    env,
    key,
  );
  return (JSON.parse(stdout) as { reason: string }).reason;
}

describe('a sidecar on the embedded database', () => {
  it('starts from nothing and prints commands that work', async () => {
    const program = serve();
    const { http, grpc, metrics } = await program.ready();
    expect(program.output).toContain(`${http}/dev/login?account=dev`);
    expect(program.output).toContain(`npx latchkey check "$KEY" ${WORKFLOW} nodes.getOutput --address ${grpc[0]}`);
    expect(await check(await createKey(http, 'first'), grpc[0])).toBe('GRANTED');
    expect((await fetch(`${metrics}/livez`)).status).toBe(200);
    expect((await fetch(`${metrics}/readyz`)).status).toBe(200);
    expect((await fetch(`${http}/settings/developer`)).status).toBe(200);
  });

  it('keeps its data over a stop and a start', async () => {
    const first = serve();
    const key = await createKey((await first.ready()).http, 'kept');
    first.kill('SIGTERM');
    expect(await first.ended).toMatchObject({ code: 0 });
    const second = serve();
    expect(await check(key, (await second.ready()).grpc[0])).toBe('GRANTED');
  });

  it('comes up by itself after kill -9, with its data', async () => {
    const first = serve();
    const key = await createKey((await first.ready()).http, 'survivor');
    first.kill('SIGKILL');
    await first.ended;
    const second = serve();
    expect(await check(key, (await second.ready()).grpc[0])).toBe('GRANTED');
  });

  it('refuses a second start on the same data directory, and says who has it', async () => {
    const first = serve();
    await first.ready();
    const second = await runProgram(['serve'], env);
    expect(second.code).toBe(1);
    expect(second.stderr).toContain(`in use by process ${first.pid}`);
    expect(second.stderr).not.toContain('    at ');
  });

  it('never writes a raw key to its log or its output', async () => {
    const program = serve({ LATCHKEY_LOG_LEVEL: 'debug' });
    const { http, grpc } = await program.ready();
    const key = await createKey(http, 'secret');
    await check(key, grpc[0]);
    await fetch(`${http}/api/keys?key=${key}`, {
      headers: { authorization: `Bearer ${key}`, cookie: `session=${key}` },
    });
    await fetch(`${http}/${key}`);
    program.kill('SIGTERM');
    const { stdout, stderr } = await program.ended;
    expect(stderr).toContain('stopped');
    expect(stdout + stderr).not.toContain(key.slice(12));
    expect(stdout + stderr).not.toContain(key.slice(12, 40));
  });
});

describe('a stop', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('by %s is orderly and ends with 0', async (signal) => {
    const program = serve();
    await program.ready();
    program.kill(signal);
    expect(await program.ended).toMatchObject({ code: 0, signal: null });
    expect(program.log.map(({ message }) => message)).toContain('stopped');
  });

  it('of npm start is one of the program that it started', async () => {
    const { PATH = '', HOME = '' } = process.env;
    // Without the build before it, which other tests' programs are made of.
    const npm = spawn('npm', ['start', '--ignore-scripts'], {
      env: { PATH, HOME, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    const heard = (chunk: Buffer): void => {
      text += chunk.toString();
    };
    npm.stdout.on('data', heard);
    npm.stderr.on('data', heard);
    await waitUntil('npm start is ready', () => text.includes('Stop it with Ctrl-C'));
    npm.kill('SIGTERM');
    // Both streams end only when nobody is left that could write to them.
    await new Promise((resolve) => npm.once('close', resolve));
    expect(text).toContain('"message":"stopped"');
  });

  it('lets a call in flight end, and then waits for nothing more', async () => {
    const program = serve({ LATCHKEY_DRAIN_MS: '600000' });
    const { http } = await program.ready();
    // A request whose body is still on its way when the stop begins.
    const { hostname, port } = new URL(http ?? '');
    const body = JSON.stringify({ name: 'in flight' });
    const socket = connect(Number(port), hostname);
    let answer = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
    });
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(
      `POST /api/keys HTTP/1.1\r\nhost: ${hostname}:${port}\r\ncookie: latchkey_dev_session=dev\r\n` +
        `content-type: application/json\r\ncontent-length: ${body.length}\r\nexpect: 100-continue\r\n\r\n`,
    );
    // The server has begun to handle it.
    await new Promise((resolve) => socket.once('data', resolve));
    program.kill('SIGTERM');
    await program.logged('stopping: no new calls, and those in flight may end');
    socket.write(body);
    await closed;
    expect(answer).toContain('201 Created');
    expect(await program.ended).toMatchObject({ code: 0 });
  });

  it('is immediate at a second signal', async () => {
    const program = serve({ LATCHKEY_DRAIN_MS: '600000' });
    const { http } = await program.ready();
    const { hostname, port } = new URL(http ?? '');
    const socket = connect(Number(port), hostname);
    socket.on('error', () => {});
    socket.write(`POST /api/keys HTTP/1.1\r\nhost: ${hostname}\r\ncontent-length: 10\r\nexpect: 100-continue\r\n\r\n`);
    await new Promise((resolve) => socket.once('data', resolve));
    program.kill('SIGTERM');
    await program.logged('stopping: no new calls, and those in flight may end');
    program.kill('SIGTERM');
    await program.logged('stopping now: what is still in flight is cut off');
    expect((await program.ended).signal).toBeNull();
    socket.destroy();
  });

  it('overtakes a start that is under way, and leaves nothing behind', async () => {
    const program = serve();
    await program.logged('embedded PostgreSQL is running');
    program.kill('SIGTERM');
    expect(await program.ended).toMatchObject({ code: 0 });
    const left = await readdir(dataDir);
    expect(left).not.toContain('latchkey.lock');
  });
});

describe('a configuration that cannot be used', () => {
  it('ends the start with 2 and names every problem, but no value', async () => {
    const { code, stdout, stderr } = await runProgram(['serve'], {
      DATABASE_URL: 'mysql://root:hunter2@db/x',
      LATCHKEY_LEASE_MS: 'soon',
      LATCHKEY_GRPC_ADRESS: '127.0.0.1:50051',
    });
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain('DATABASE_URL has 25 characters; it must be a URL like postgres://');
    expect(stderr).toContain('LATCHKEY_LEASE_MS has 4 characters of the shape "aaaa"; it must be a whole number');
    expect(stderr).toContain('LATCHKEY_GRPC_ADRESS is no setting (did you mean LATCHKEY_GRPC_ADDRESS?)');
    expect(stderr).not.toContain('hunter2');
  });

  it('is found without a start by --check-config', async () => {
    expect(await runProgram(['serve', '--check-config'], {})).toMatchObject({ code: 0, stderr: '' });
    expect(await runProgram(['serve', '--check-config'], { LATCHKEY_WORKERS: '0' })).toMatchObject({ code: 2 });
  });

  it.each([[['serve']], [['serve', '--check-config']]])(
    'is found in its files too, in all of them at once: %j',
    async (args) => {
      const broken = join(dataDir, 'broken');
      await writeFile(broken, '- {match: nonsense}\n- 1\n');
      const authority = new CertificateAuthority('some');
      const other = authority.issue({ commonName: 'another' });
      await writeFile(join(dataDir, 'cert.pem'), authority.issue({ commonName: 'sidecar' }).cert);
      await writeFile(join(dataDir, 'other-key.pem'), other.key);
      const jwt = {
        LATCHKEY_SESSION_MODE: 'jwt',
        LATCHKEY_JWT_ISSUER: 'i',
        LATCHKEY_JWT_AUDIENCE: 'a',
        LATCHKEY_JWT_PUBLIC_KEY_FILE: broken,
      };
      const { code, stdout, stderr } = await runProgram(args, {
        ...env,
        ...jwt,
        LATCHKEY_METHODS_FILE: '/nonexistent/methods.json',
        LATCHKEY_ROUTES_FILE: broken,
        LATCHKEY_TLS_CERT: join(dataDir, 'cert.pem'),
        LATCHKEY_TLS_KEY: join(dataDir, 'other-key.pem'),
      });
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toContain(
        'LATCHKEY_METHODS_FILE has 25 characters of the shape "/aaaaaaaaaaa/aaaaaaa.aaaa" and cannot be read (ENOENT: no such file or directory); it must be the path of a method catalogue',
      );
      expect(stderr).toContain(
        `LATCHKEY_ROUTES_FILE names a file that cannot be used (${broken}:1: "method" is missing)`,
      );
      expect(stderr).toContain(`(${broken}:2: a route must be {match, method})`);
      expect(stderr).toMatch(/LATCHKEY_TLS_KEY names .*; it must be the path of .* that belongs to LATCHKEY_TLS_CERT/);
      expect(stderr).toMatch(/LATCHKEY_JWT_PUBLIC_KEY_FILE names .* holds no PEM public key for RS256/);
      expect(stderr).not.toContain('    at ');
    },
  );

  it('is one that would refuse every session: an RSA key that is too short', async () => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const file = join(dataDir, 'short.pem');
    await writeFile(file, publicKey.export({ type: 'spki', format: 'pem' }));
    const { code, stderr } = await runProgram(['serve', '--check-config'], {
      LATCHKEY_SESSION_MODE: 'jwt',
      LATCHKEY_JWT_ISSUER: 'i',
      LATCHKEY_JWT_AUDIENCE: 'a',
      LATCHKEY_JWT_PUBLIC_KEY_FILE: file,
    });
    expect(code).toBe(2);
    expect(stderr).toContain('holds an RSA key of 1024 bits, fewer than 2048');
  });

  it.each(['LATCHKEY_TLS_CERT', 'LATCHKEY_TLS_KEY', 'LATCHKEY_TLS_CLIENT_CA'])(
    'names %s when it is no PEM',
    async (variable) => {
      const { cert, key } = new CertificateAuthority('some').issue({ commonName: 'sidecar' });
      await writeFile(join(dataDir, 'cert.pem'), cert);
      await writeFile(join(dataDir, 'key.pem'), key);
      const { code, stderr } = await runProgram(['serve', '--check-config'], {
        LATCHKEY_TLS_CERT: join(dataDir, 'cert.pem'),
        LATCHKEY_TLS_KEY: join(dataDir, 'key.pem'),
        [variable]: 'package.json',
      });
      expect(code).toBe(2);
      expect(stderr).toContain(`\n  ${variable} names a file that cannot be used`);
      expect(stderr.match(/names a file/g)).toHaveLength(1);
    },
  );

  it.each([
    ['LATCHKEY_METRICS_ADDRESS', 'metrics'],
    ['LATCHKEY_HTTP_ADDRESS', 'http'],
    ['LATCHKEY_ADMIN_ADDRESS', 'admin'],
    ['LATCHKEY_GRPC_ADDRESS', 'grpc'],
  ] as const)('ends the start with 1 when somebody else has %s, and names it', async (variable, listener) => {
    const taken = String((await serve().ready())[listener]).replace('http://', '');
    const other = await passableTempDir('latchkey-taken-');
    const { code, stderr } = await runProgram(['serve'], { ...env, LATCHKEY_DATA_DIR: other, [variable]: taken });
    await rm(other, { recursive: true, force: true });
    expect(code).toBe(1);
    const end = `^latchkey: ${variable}: .*address already in use .*\n {2}latchkey doctor says what is in the way$`;
    expect(stderr).toMatch(new RegExp(end, 'm'));
    expect(stderr).not.toContain('    at ');
  });
});
