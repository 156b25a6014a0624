import { spawn } from 'node:child_process';
import { readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
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

  it.each([
    ['a method catalogue that is missing', { LATCHKEY_METHODS_FILE: '/nonexistent/methods.json' }],
    ['a port that is taken', {}],
  ])('ends the start with 1 and a sentence: %s', async (what, more) => {
    const first = what.startsWith('a port') ? serve() : null;
    const taken = first === null ? {} : { LATCHKEY_METRICS_ADDRESS: new URL((await first.ready()).metrics ?? '').host };
    const { code, stderr } = await runProgram(['serve'], { ...env, ...more, ...taken });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^latchkey: .+$/m);
    expect(stderr).not.toContain('    at ');
  });
});
