import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { describeWithPeer } from '../support/peers.js';
import { PeerProcess } from '../support/peers-process.js';
import { type ProxyTable, proxyTable, replaceAll, withoutSidecar } from '../support/peers-table.js';

describeWithPeer('caddy', 'Caddy with the shipped configuration', (caddy) => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'latchkey-caddy-'));
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  const table: ProxyTable = {
    problemType: 'own',
    refusedPath: [400, 403],
    withoutSidecar: 503,
    async start(ports) {
      const file = join(await mkdtemp(join(folder, 'run-')), 'Caddyfile');
      const shipped = await readFile('deploy/caddy/Caddyfile', 'utf8');
      const configuration = replaceAll(shipped, [
        ['http://127.0.0.1:10081', `http://127.0.0.1:${ports.listen}`],
        ['forward_auth 127.0.0.1:8080', `forward_auth 127.0.0.1:${ports.http}`],
        ['reverse_proxy 127.0.0.1:9000', `reverse_proxy 127.0.0.1:${ports.upstream}`],
      ]);
      // The Host of these tests is not the site's; a deployment's site address has the name it is called by.
      const anyHost = configuration.replace(`http://127.0.0.1:${ports.listen}`, `http://:${ports.listen}`);
      await writeFile(file, anyHost);
      return PeerProcess.start('caddy', caddy, ['run', '--config', file, '--adapter', 'caddyfile'], {
        env: { XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
      });
    },
  };
  withoutSidecar(table, proxyTable(table));
});
