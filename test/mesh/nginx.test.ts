import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWithPeer } from '../support/peers.js';
import { PeerProcess } from '../support/peers-process.js';
import { type ProxyTable, proxyTable, replaceAll, withoutSidecar } from '../support/peers-table.js';

describeWithPeer('nginx', 'nginx with the shipped configuration', (nginx) => {
  let folder: string;
  let first = '';

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'latchkey-nginx-'));
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  const table: ProxyTable = {
    problemType: 'any',
    refusedPath: [400, 403],
    withoutSidecar: 503,
    logs: () => readFile(join(first, 'access.log'), 'utf8'),
    async start(ports) {
      // Each run in a folder of its own, for its pid file and log.
      const prefix = await mkdtemp(join(folder, 'run-'));
      first ||= prefix;
      const file = join(prefix, 'nginx.conf');
      const shipped = await readFile('deploy/nginx/nginx.conf', 'utf8');
      const configuration = replaceAll(shipped, [
        ['listen 127.0.0.1:10080', `listen 127.0.0.1:${ports.listen}`],
        ['server 127.0.0.1:8080', `server 127.0.0.1:${ports.http}`],
        ['server 127.0.0.1:9000', `server 127.0.0.1:${ports.upstream}`],
        ['worker_processes auto', 'worker_processes 1'],
      ]);
      await writeFile(file, configuration);
      return PeerProcess.start('nginx', nginx, ['-p', prefix, '-c', file, '-g', 'daemon off;']);
    },
  };
  const started = proxyTable(table);

  test.each([
    [401, 'KEY_MALFORMED', 'nonsense', 1],
    [403, 'METHOD_UNKNOWN', 'a good key', 0],
  ])('answers %i with %s in a header, to %s, and no header twice', async (status, reason, key, challenges) => {
    const token = key === 'nonsense' ? key : (await started.sidecar().createKey({})).raw_key;
    const headers = { authorization: `Bearer ${token}` };
    const request = get({ port: started.port(), path: '/somewhere-else', headers });
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    answer.resume();
    expect(answer.statusCode).toBe(status);
    expect(answer.headersDistinct['x-latchkey-reason']).toEqual([reason]);
    expect(answer.headersDistinct['www-authenticate'] ?? []).toHaveLength(challenges);
  });

  withoutSidecar(table, started);
});
