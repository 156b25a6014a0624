import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createLatchkeyClient, type LatchkeyClient } from '../../src/client/index.js';
import { hashRawKey, keyHashToBytes, mintRawKey } from '../../src/domain/raw-key.js';
import { type TestDatabase, testDatabase } from '../support/database.js';
import { describeWithPeer } from '../support/peers.js';
import { freePort, PeerProcess } from '../support/peers-process.js';
import { FREE_PORTS, Program } from '../support/program.js';
import { waitUntil } from '../support/wait-until.js';

const CALLERS = 6;

/** A plain gRPC proxy in front of two sidecars that tries again, elsewhere, what one of them did not answer. */
function envoyConfiguration(listen: number, sidecars: readonly number[]): string {
  const endpoints = sidecars.map(
    (port) => `{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${port} } } } }`,
  );
  return `
static_resources:
  listeners:
    - address: { socket_address: { address: 127.0.0.1, port_value: ${listen} } }
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: sidecars
                codec_type: HTTP2
                route_config:
                  virtual_hosts:
                    - name: sidecars
                      domains: ['*']
                      routes:
                        - match: { prefix: / }
                          route:
                            cluster: sidecars
                            retry_policy:
                              retry_on: connect-failure,refused-stream,reset-before-request,unavailable
                              num_retries: 3
                              host_selection_retry_max_attempts: 5
                              retry_host_predicate:
                                - name: envoy.retry_host_predicates.previous_hosts
                                  typed_config:
                                    '@type': type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: { '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
    - name: sidecars
      type: STATIC
      connect_timeout: 1s
      # Three at a time is the default: too few for all the calls that meet a sidecar that has gone.
      circuit_breakers: { thresholds: [{ max_retries: 100 }] }
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: { http2_protocol_options: {} }
      load_assignment:
        cluster_name: sidecars
        endpoints: [{ lb_endpoints: [${endpoints.join(', ')}] }]
`;
}

describeWithPeer('envoy', 'a sidecar that is told to stop under load', (envoy) => {
  let folder: string;
  let database: TestDatabase;
  let proxy: PeerProcess;
  let client: LatchkeyClient;
  const rawKey = mintRawKey();
  const ports: number[] = [];
  const sidecars: Program[] = [];

  const startSidecar = async (index: number) => {
    const program = new Program(['serve'], {
      ...FREE_PORTS,
      LATCHKEY_GRPC_ADDRESS: `127.0.0.1:${ports[index]}`,
      LATCHKEY_WORKFLOW_OWNERSHIP: 'trust',
      LATCHKEY_SESSION_MODE: 'table',
      DATABASE_URL: database.url,
    });
    sidecars[index] = program;
    await program.ready();
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'latchkey-drain-'));
    database = await testDatabase();
    await database.query(
      `INSERT INTO latchkey.api_keys (account_id, name, key_hash, key_prefix, permissions)
         VALUES ('drained', 'drained', $1, 'nk_live_0000', '{read}')`,
      [keyHashToBytes(hashRawKey(rawKey))],
    );
    ports.push(await freePort(), await freePort());
    await Promise.all([startSidecar(0), startSidecar(1)]);
    const listen = await freePort();
    const file = join(folder, 'envoy.yaml');
    await writeFile(file, envoyConfiguration(listen, ports));
    proxy = PeerProcess.start('envoy', envoy, [
      '-c',
      file,
      '--use-dynamic-base-id',
      '--concurrency',
      '1',
      '-l',
      'warn',
    ]);
    await proxy.waitForPort(listen);
    // It never tries again itself: what is shown is the proxy's doing and the sidecar's.
    client = createLatchkeyClient({
      address: `127.0.0.1:${listen}`,
      maxAttempts: 1,
      deadlineMs: 10_000,
      healthChecks: false,
    });
  });
  afterAll(async () => {
    client?.close();
    await proxy?.stop();
    for (const sidecar of sidecars) {
      sidecar.kill('SIGTERM');
      await sidecar.ended;
    }
    await rm(folder, { recursive: true, force: true });
  });

  it('fails no call behind a proxy that tries again at the other, through a whole rolling restart', async () => {
    let over = false;
    let answered = 0;
    const failures: unknown[] = [];
    const callers = Array.from({ length: CALLERS }, async () => {
      while (!over) {
        try {
          const { allowed } = await client.authorize({ key: rawKey, workflowId: 'w', method: 'nodes.list' });
          if (!allowed) failures.push('denied');
          answered++;
        } catch (error) {
          failures.push(error);
        }
      }
    });
    for (const index of [0, 1]) {
      const before = answered;
      await waitUntil('calls are answered', () => answered > before + 200);
      sidecars[index]?.kill('SIGTERM');
      expect(await sidecars[index]?.ended).toMatchObject({ code: 0 });
      const alone = answered;
      await waitUntil('the other answers alone', () => answered > alone + 200);
      await startSidecar(index);
    }
    over = true;
    await Promise.all(callers);
    expect(failures).toEqual([]);
  });
});
