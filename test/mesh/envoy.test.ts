import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWithPeer } from '../support/peers.js';
import { PeerProcess } from '../support/peers-process.js';
import { rawRequest } from '../support/peers-raw-http.js';
import { NIGHTLY_REPORT } from '../support/peers-sidecar.js';
import { type ProxyTable, proxyTable, replaceAll, withoutSidecar } from '../support/peers-table.js';
import { GrpcUpstream } from '../support/peers-upstream.js';

describeWithPeer('envoy', 'Envoy with the shipped configuration', (envoy) => {
  let folder: string;
  let grpcUpstream: GrpcUpstream;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'latchkey-envoy-'));
    grpcUpstream = await GrpcUpstream.start();
  });

  afterAll(async () => {
    grpcUpstream?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const table: ProxyTable = {
    problemType: 'own',
    // 400 is Envoy's own refusal.
    refusedPath: [400, 403],
    withoutSidecar: 503,
    async start(ports) {
      const file = join(await mkdtemp(join(folder, 'run-')), 'envoy.yaml');
      const shipped = await readFile('deploy/envoy/envoy.yaml', 'utf8');
      const configuration = replaceAll(shipped, [
        ['port_value: 10000', `port_value: ${ports.listen}`],
        ['port_value: 50051', `port_value: ${ports.grpc}`],
        ['port_value: 9000', `port_value: ${ports.upstream}`],
        ['port_value: 9001', `port_value: ${grpcUpstream.port}`],
      ]);
      await writeFile(file, configuration);
      const args = ['-c', file, '--use-dynamic-base-id', '--concurrency', '1', '--log-level', 'warn'];
      return PeerProcess.start('envoy', envoy, args);
    },
  };
  const shared = proxyTable(table);

  test('says in its access log what was decided, from the dynamic metadata', async () => {
    const key = await shared.sidecar().createKey({});
    await rawRequest(shared.port(), 'GET', `/workflows/${NIGHTLY_REPORT}`, [['X-Api-Key', key.raw_key]]);
    const line = await shared
      .proxy()
      .waitFor('the access log', (text) => text.split('\n').find((candidate) => candidate.includes(key.id)));
    expect(JSON.parse(line)).toMatchObject({
      status: 200,
      decision: 'allow',
      reason: 'GRANTED',
      called: 'workflow.getInfo',
    });
  });

  test("takes the method and the workflow from the route's context extensions", async () => {
    const key = await shared.sidecar().createKey({ permissions: ['read'] });
    expect((await rawRequest(shared.port(), 'GET', '/status', [['X-Api-Key', key.raw_key]])).status).toBe(200);
    const writer = await shared.sidecar().createKey({ permissions: ['write'] });
    expect((await rawRequest(shared.port(), 'GET', '/status', [['X-Api-Key', writer.raw_key]])).status).toBe(403);
  });

  test('refuses header names with underscores, which some upstreams take for identity headers', async () => {
    const key = await shared.sidecar().createKey({});
    const headers: [string, string][] = [
      ['X-Api-Key', key.raw_key],
      ['x_latchkey_key_id', 'forged'],
    ];
    expect((await rawRequest(shared.port(), 'GET', `/workflows/${NIGHTLY_REPORT}`, headers)).status).toBe(400);
  });

  function call(method: string, rawKey: string | null): Promise<{ error: ServiceError | null; value?: string }> {
    const client = new Client(`127.0.0.1:${shared.port()}`, credentials.createInsecure());
    const metadata = new Metadata();
    if (rawKey !== null) metadata.set('authorization', `Bearer ${rawKey}`);
    metadata.set('x-latchkey-key-id', 'forged');
    const same = (bytes: Buffer) => bytes;
    return new Promise((resolve) => {
      client.makeUnaryRequest(
        `/example.v1.Resources/${method}`,
        same,
        same,
        Buffer.from('question'),
        metadata,
        { deadline: Date.now() + 20_000 },
        (error, value) => {
          client.close();
          resolve(error === null ? { error, value: String(value) } : { error });
        },
      );
    });
  }

  test('decides on gRPC calls by their :path, with the codes that gRPC has for 401 and 403', async () => {
    const key = await shared.sidecar().createKey({ permissions: ['read'] });
    expect(await call('List', key.raw_key)).toMatchObject({ error: null, value: 'from upstream' });
    const seen = grpcUpstream.seen[0];
    expect(seen?.get('x-latchkey-key-id')).toEqual([key.id]);
    expect(seen?.get('authorization')).toEqual([]);
    expect((await call('Remove', key.raw_key)).error?.code).toBe(status.PERMISSION_DENIED);
    expect((await call('List', null)).error?.code).toBe(status.UNAUTHENTICATED);
    expect((await call('Unheard', key.raw_key)).error?.code).toBe(status.PERMISSION_DENIED);
    await shared.sidecar().revokeKey(key.id);
    expect((await call('List', key.raw_key)).error?.code).toBe(status.UNAUTHENTICATED);
    expect(grpcUpstream.seen).toHaveLength(1);
  });

  withoutSidecar(table, shared);

  test('answers UNAVAILABLE to gRPC calls while the sidecar is stopped', async () => {
    expect((await call('List', `nk_live_${'0'.repeat(64)}`)).error?.code).toBe(status.UNAVAILABLE);
  });
});
