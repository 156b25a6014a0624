import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { IDENTITY_HEADERS } from '../../src/transport/authorization-answer.js';
import { describeWithPeer } from '../support/peers.js';
import { PeerProcess } from '../support/peers-process.js';
import { type ProxyTable, proxyTable, replaceAll, withoutSidecar } from '../support/peers-table.js';

// Traefik cannot be had from every package registry, so that these are never required.
const OPTIONAL = true;

describeWithPeer(
  'traefik',
  'Traefik with the shipped configuration',
  (traefik) => {
    let folder: string;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'latchkey-traefik-'));
    });

    afterAll(() => rm(folder, { recursive: true, force: true }));

    const table: ProxyTable = {
      problemType: 'own',
      refusedPath: [400, 403],
      // What Traefik makes of an authorization server that cannot be reached.
      withoutSidecar: 500,
      async start(ports) {
        const run = await mkdtemp(join(folder, 'run-'));
        const dynamicFile = join(run, 'dynamic.yaml');
        const [shipped, dynamic] = await Promise.all([
          readFile('deploy/traefik/traefik.yaml', 'utf8'),
          readFile('deploy/traefik/dynamic.yaml', 'utf8'),
        ]);
        await writeFile(
          dynamicFile,
          replaceAll(dynamic, [
            ['http://127.0.0.1:8080/authorize', `http://127.0.0.1:${ports.http}/authorize`],
            ['http://127.0.0.1:9000', `http://127.0.0.1:${ports.upstream}`],
          ]),
        );
        const file = join(run, 'traefik.yaml');
        await writeFile(
          file,
          replaceAll(shipped, [
            ['127.0.0.1:10082', `127.0.0.1:${ports.listen}`],
            ['filename: dynamic.yaml', `filename: ${dynamicFile}`],
          ]),
        );
        return PeerProcess.start('traefik', traefik, [`--configFile=${file}`]);
      },
    };
    withoutSidecar(table, proxyTable(table));
  },
  OPTIONAL,
);

describe('the shipped configuration of Traefik', () => {
  test('strips identities, asks, and strips the key, in this order and on every guarded router', async () => {
    const { http } = parse(await readFile('deploy/traefik/dynamic.yaml', 'utf8'));
    const { routers, middlewares } = http;
    expect(routers.app.middlewares).toEqual(['strip-identity', 'latchkey', 'strip-key']);
    expect(routers.open.middlewares).toEqual(['strip-identity']);

    const stripped = middlewares['strip-identity'].headers.customRequestHeaders;
    const names = Object.keys(stripped).map((name) => name.toLowerCase());
    expect(names).toEqual(expect.arrayContaining([...IDENTITY_HEADERS, 'x-latchkey-method', 'x-latchkey-workflow']));
    expect(names).toEqual(expect.arrayContaining(['x-original-method', 'x-original-uri']));
    // An empty value is Traefik's way to remove a header.
    expect(new Set(Object.values(stripped))).toEqual(new Set(['']));
    expect(middlewares['strip-key'].headers.customRequestHeaders).toEqual({ Authorization: '', 'X-Api-Key': '' });
  });

  test('believes nobody about the request, and takes over the identity headers and no others', async () => {
    const { http } = parse(await readFile('deploy/traefik/dynamic.yaml', 'utf8'));
    const { forwardAuth } = http.middlewares.latchkey;
    expect(forwardAuth).toMatchObject({ address: 'http://127.0.0.1:8080/authorize', trustForwardHeader: false });
    expect(forwardAuth.authResponseHeaders.map((name: string) => name.toLowerCase())).toEqual([...IDENTITY_HEADERS]);
    expect(forwardAuth).not.toHaveProperty('authResponseHeadersRegex');
  });
});
