import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mintRawKey } from '../../src/domain/raw-key.js';
import { processExists } from '../../src/store/embedded/data-lock.js';
import { testDatabase } from '../support/database.js';
import { FREE_PORTS, Program, runProgram } from '../support/program.js';
import { passableTempDir } from '../support/temp-dir.js';
import { waitUntil } from '../support/wait-until.js';

const WORKFLOW = '00000000-0000-4000-8000-000000000001';

let dataDir: string;
let env: Record<string, string>;

beforeAll(async () => {
  dataDir = await passableTempDir('latchkey-crash-');
  env = { ...FREE_PORTS, LATCHKEY_DATA_DIR: dataDir };
});
afterAll(() => rm(dataDir, { recursive: true, force: true }));

describe('an error that nobody expected', () => {
  it.each([
    ['thrown', 'throw'],
    ['rejected', 'Promise.reject'],
  ])('%s, is logged without secrets and ends the process with 1', async (_, how) => {
    const key = mintRawKey();
    const boom = how === 'throw' ? `throw(new(Error)('${key}'))` : `Promise.reject(new(Error)('${key}'))`;
    const preload = `data:text/javascript,process.on('SIGUSR2',()=>{${boom}})`;
    const program = new Program(['serve'], { ...env, NODE_OPTIONS: `--import=${preload}` });
    await program.ready();
    program.kill('SIGUSR2');
    const { code, stderr } = await program.ended;
    expect(code).toBe(1);
    // Not always the last line: one may be under way to the same descriptor.
    expect(program.log.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([
      'the process is broken and ends',
    ]);
    expect(stderr).not.toContain(key.slice(12));
  });
});

describe('several workers', () => {
  it('decide as one sidecar, are replaced when they die, and stop with the first process', async () => {
    const program = new Program(['serve'], { ...env, LATCHKEY_WORKERS: '2' });
    try {
      const { grpc, http, metrics } = await program.ready();
      const response = await fetch(`${http}/api/keys`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', cookie: 'latchkey_dev_session=dev' },
        body: '{"name": "shared"}',
      });
      const { id, raw_key: key } = (await response.json()) as { id: string; raw_key: string };
      const check = async (): Promise<string> => {
        const args = ['check', '-', WORKFLOW, 'nodes.getOutput', '--address', grpc[0] ?? ''];
        return (await runProgram(args, env, key)).stdout.split('\n', 1)[0] ?? '';
      };
      const workers = () =>
        program.log.filter(({ message }) => message === 'worker is ready').map(({ worker }) => worker);
      expect(workers()).toHaveLength(2);
      expect(await Promise.all([check(), check(), check()])).toEqual(['GRANTED', 'GRANTED', 'GRANTED']);

      process.kill(Number(workers()[0]), 'SIGKILL');
      await waitUntil('a worker took the place of the dead one', () => workers().length === 3);
      expect(await check()).toBe('GRANTED');

      const revoked = await fetch(`${http}/api/keys/${id}`, {
        method: 'DELETE',
        headers: { cookie: 'latchkey_dev_session=dev' },
      });
      expect(revoked.status).toBe(200);
      expect(await Promise.all([check(), check(), check()])).toEqual(['KEY_REVOKED', 'KEY_REVOKED', 'KEY_REVOKED']);
      const exposition = await (await fetch(`${metrics}/metrics`)).text();
      expect(exposition).toMatch(/latchkey_decisions_total\{[^}]*reason="KEY_REVOKED"[^}]*\} 3/);
    } finally {
      program.kill('SIGTERM');
    }
    expect(await program.ended).toMatchObject({ code: 0, signal: null });
    for (const { message, worker } of program.log) {
      if (message === 'worker is ready') expect(() => process.kill(Number(worker), 0)).toThrow('ESRCH');
    }
  });

  it('are what readiness follows, and give their leases up when the first process is killed', async () => {
    const database = await testDatabase();
    const program = new Program(['serve'], {
      ...FREE_PORTS,
      DATABASE_URL: database.url,
      LATCHKEY_SESSION_MODE: 'table',
      LATCHKEY_WORKERS: '2',
    });
    const rows = () => database.query('SELECT FROM latchkey.sidecars');
    try {
      const { metrics } = await program.ready();
      expect(await rows()).toHaveLength(3);
      const workers = () =>
        program.log.filter(({ message }) => message === 'worker is ready').map(({ worker }) => worker);
      const ready = async () => (await fetch(`${metrics}/readyz`)).status;
      expect(await ready()).toBe(200);
      for (const worker of workers()) process.kill(Number(worker), 'SIGKILL');
      await waitUntil('the sidecar is not ready: nobody listens', async () => (await ready()) === 503);
      await waitUntil('both are replaced', () => workers().length === 4);
      expect(await ready()).toBe(200);
    } finally {
      program.kill('SIGKILL');
    }
    // Of the first process, and of the two workers that were killed.
    await waitUntil('the workers that live have let go of their rows', async () => (await rows()).length === 3);
    for (const { message, worker } of program.log) {
      if (message !== 'worker is ready') continue;
      await waitUntil('the worker is gone', () => !processExists(Number(worker)));
    }
  });
});
