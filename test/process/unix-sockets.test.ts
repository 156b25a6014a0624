import { rm, stat } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLatchkeyClient } from '../../src/client/index.js';
import { FREE_PORTS, Program } from '../support/program.js';
import { passableTempDir } from '../support/temp-dir.js';

let dir: string;

beforeEach(async () => {
  dir = await passableTempDir('latchkey-unix-');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('a sidecar whose listeners are all unix sockets', () => {
  it.each([1, 2])('comes up again after kill -9, with %i processes on them', async (workers) => {
    const socket = (name: string) => join(dir, `${name}.sock`);
    const env = {
      ...FREE_PORTS,
      LATCHKEY_DATA_DIR: join(dir, 'data'),
      LATCHKEY_WORKERS: String(workers),
      LATCHKEY_GRPC_ADDRESS: `unix:${socket('grpc')}`,
      LATCHKEY_ADMIN_ADDRESS: `unix:${socket('admin')}`,
      LATCHKEY_HTTP_ADDRESS: `unix:${socket('http')}`,
      LATCHKEY_METRICS_ADDRESS: `unix:${socket('metrics')}`,
    };
    const first = new Program(['serve'], env);
    await first.ready();
    first.kill('SIGKILL');
    await first.ended;
    // What the next start has to deal with.
    for (const name of ['http', 'metrics', 'admin']) expect((await stat(socket(name))).isSocket()).toBe(true);

    const second = new Program(['serve'], env);
    try {
      await second.ready();
      const client = createLatchkeyClient({ address: `unix:${socket('grpc')}`, deadlineMs: 30_000 });
      expect(await client.authorize({ key: 'nonsense', method: 'm' })).toMatchObject({ reason: 'KEY_MALFORMED' });
      client.close();
      expect(await statusOf(socket('metrics'), '/livez')).toBe(200);
      expect(await statusOf(socket('http'), '/api/openapi.json')).toBe(200);

      const third = new Program(['serve'], { ...env, LATCHKEY_DATA_DIR: join(dir, 'other') });
      expect((await third.ended).code).not.toBe(0);
      expect(await statusOf(socket('http'), '/api/openapi.json')).toBe(200);
    } finally {
      second.kill('SIGTERM');
      expect((await second.ended).code).toBe(0);
    }
    await expect(stat(socket('grpc'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

function statusOf(socketPath: string, path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
}
