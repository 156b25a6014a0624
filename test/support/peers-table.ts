import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { PeerProcess } from './peers-process.js';
import { freePort } from './peers-process.js';
import { type RawAnswer, rawRequest } from './peers-raw-http.js';
import { type CreatedKey, LEAD_INTAKE, NIGHTLY_REPORT, PAYROLL, Sidecar } from './peers-sidecar.js';
import { UndecidedSidecar } from './peers-undecided.js';
import { Upstream } from './peers-upstream.js';

/** Ports that a proxy's configuration must be made to use in place of its own. */
export interface ProxyPorts {
  readonly listen: number;
  /** The sidecar's gRPC listener. */
  readonly grpc: number;
  /** The sidecar's HTTP listener. */
  readonly http: number;
  readonly upstream: number;
}

/** What differs between proxies. */
export interface ProxyTable {
  /** Starts the proxy with the shipped configuration, its ports replaced. */
  start(ports: ProxyPorts): Promise<PeerProcess>;
  /** What the proxy logged besides its output. */
  logs?(): Promise<string>;
  /** Whether the client sees Latchkey's own problem document, or one that the proxy made of the reason. */
  readonly problemType: 'own' | 'any';
  /** Statuses of a path that is not in plain form: of the proxy's own refusal or of Latchkey's. */
  readonly refusedPath: readonly number[];
  /** The status while the sidecar is stopped. */
  readonly withoutSidecar: number;
}

/**
 * The table of what every proxy must do, as tests in the present `describe`. Returns what the tests share, filled in
 * before the first of them.
 */
export function proxyTable(table: ProxyTable): {
  sidecar: () => Sidecar;
  upstream: () => Upstream;
  proxy: () => PeerProcess;
  port: () => number;
} {
  let sidecar: Sidecar;
  let upstream: Upstream;
  let proxy: PeerProcess;
  let port: number;
  let all: CreatedKey;
  let readOnly: CreatedKey;
  let scoped: CreatedKey;

  beforeAll(async () => {
    port = await freePort();
    [sidecar, upstream] = await Promise.all([
      Sidecar.start({ LATCHKEY_ROUTES_FILE: 'deploy/routes.yaml' }),
      Upstream.start(),
    ]);
    const ports = { listen: port, grpc: sidecar.grpcPort, http: sidecar.httpPort, upstream: upstream.port };
    [proxy, all, readOnly, scoped] = await Promise.all([
      table.start(ports),
      sidecar.createKey({}),
      sidecar.createKey({ permissions: ['read'] }),
      sidecar.createKey({ workflow_id: NIGHTLY_REPORT }),
    ]);
    await proxy.waitForPort(port);
  }, 120_000);

  afterAll(async () => {
    await proxy?.stop();
    await Promise.all([sidecar?.stop(), upstream?.stop()]);
  });

  beforeEach(() => {
    upstream.seen.length = 0;
    upstream.status = 200;
  });

  const bearer = (key: CreatedKey): [string, string] => ['Authorization', `Bearer ${key.raw_key}`];
  const get = (target: string, ...headers: [string, string][]) => rawRequest(port, 'GET', target, headers);
  const node = (workflow: string) => `/workflows/${workflow}/nodes/n1`;

  function refused(answer: RawAnswer, status: number): void {
    expect([answer.status, upstream.seen.length]).toEqual([status, 0]);
  }

  test('lets an allowed request through with the identity headers and without the raw key', async () => {
    const answer = await get(`${node(NIGHTLY_REPORT)}/output?since=1`, bearer(scoped), ['X-Kept', 'yes']);
    expect([answer.status, answer.body]).toEqual([200, 'from upstream']);
    const [seen] = upstream.seen;
    expect(seen?.url).toBe(`${node(NIGHTLY_REPORT)}/output?since=1`);
    expect(seen?.headers).toMatchObject({
      'x-latchkey-key-id': scoped.id,
      'x-latchkey-account-id': 'dev',
      'x-latchkey-workflow-id': NIGHTLY_REPORT,
      'x-latchkey-permissions': 'read,execute,write',
      'x-kept': 'yes',
    });
    expect(JSON.stringify(seen)).not.toContain('nk_live_');
    expect(JSON.stringify(answer)).not.toContain('nk_live_');
  });

  test('takes the key from X-Api-Key as well, and removes it', async () => {
    const answer = await get(node(NIGHTLY_REPORT).replace('/nodes/n1', ''), ['X-Api-Key', all.raw_key]);
    expect(answer.status).toBe(200);
    expect(JSON.stringify(upstream.seen)).not.toContain('nk_live_');
  });

  test('passes a body on after the decision', async () => {
    const answer = await rawRequest(port, 'PUT', `${node(NIGHTLY_REPORT)}/config`, [bearer(all)], '{"retries":3}');
    expect(answer.status).toBe(200);
    expect(upstream.seen[0]).toMatchObject({ method: 'PUT', body: '{"retries":3}' });
  });

  test('removes forged identity headers and replaces them with its own', async () => {
    const forged: [string, string][] = [
      ['X-Latchkey-Key-Id', 'forged'],
      ['x-latchkey-account-id', 'forged'],
      ['X-LATCHKEY-WORKFLOW-ID', 'forged'],
      ['X-Latchkey-Permissions', 'forged'],
      ['X-Latchkey-Method', 'nodes.list'],
      ['X-Latchkey-Workflow', 'forged'],
    ];
    expect((await get(`/workflows/${LEAD_INTAKE}`, bearer(all), ...forged)).status).toBe(200);
    expect(upstream.seen[0]?.headers).toMatchObject({ 'x-latchkey-key-id': all.id, 'x-latchkey-account-id': 'dev' });
    // The key may act on all workflows: there is no such header, neither the client's nor an empty one with its text.
    expect(upstream.seen[0]?.headers['x-latchkey-workflow-id'] ?? '').toBe('');
    expect(JSON.stringify(upstream.seen)).not.toContain('forged');
  });

  test('asks no key for an open path, and lets no forged identity through there', async () => {
    const answer = await get('/healthz', ['X-Latchkey-Key-Id', 'forged'], ['X-Latchkey-Account-Id', 'forged']);
    expect(answer.status).toBe(200);
    expect(JSON.stringify(upstream.seen)).not.toContain('forged');
  });

  test.each<[string, string, [string, string][]]>([
    ['no key', '', []],
    ['a malformed key', 'KEY_MALFORMED', [['Authorization', 'Bearer nonsense']]],
    ['an unknown key', 'KEY_UNKNOWN', [['X-Api-Key', `nk_live_${'0'.repeat(64)}`]]],
  ])('answers 401 with a challenge for %s', async (_, reason, headers) => {
    const answer = await get(`/workflows/${NIGHTLY_REPORT}`, ...headers);
    refused(answer, 401);
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm="latchkey"/);
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(JSON.parse(answer.body)).toMatchObject({ status: 401, reason: reason === '' ? 'KEY_MALFORMED' : reason });
  });

  test('answers 401 for two different keys and for a repeated header', async () => {
    refused(await get(`/workflows/${NIGHTLY_REPORT}`, bearer(all), ['X-Api-Key', readOnly.raw_key]), 401);
    const twice = await get(`/workflows/${NIGHTLY_REPORT}`, bearer(all), bearer(readOnly));
    // A proxy may refuse what RFC 9110 forbids by itself.
    expect([400, 401]).toContain(twice.status);
    expect(upstream.seen).toEqual([]);
  });

  test.each<[string, () => Promise<RawAnswer>]>([
    ['PERMISSION_MISSING', () => rawRequest(port, 'PUT', `${node(NIGHTLY_REPORT)}/config`, [bearer(readOnly)])],
    ['WORKFLOW_OUT_OF_SCOPE', () => get(`/workflows/${LEAD_INTAKE}`, bearer(scoped))],
    ['WORKFLOW_UNKNOWN', () => get(`/workflows/${PAYROLL}`, bearer(all))],
    ['METHOD_UNKNOWN', () => get('/somewhere-else', bearer(all))],
  ])('answers 403 without a challenge for %s', async (reason, ask) => {
    const answer = await ask();
    refused(answer, 403);
    expect(answer.headers).not.toHaveProperty('www-authenticate');
    expect(answer.headers['content-type']).toBe('application/problem+json');
    const problem = JSON.parse(answer.body);
    expect(problem).toMatchObject({ status: 403, reason });
    if (table.problemType === 'own') {
      expect(problem.type).toBe(`urn:latchkey:problem:${reason.toLowerCase().replaceAll('_', '-')}`);
    }
  });

  test.each([
    `/workflows/${NIGHTLY_REPORT}/%2e%2e/${PAYROLL}`,
    `/workflows/${NIGHTLY_REPORT}/..%2f${PAYROLL}`,
    `/workflows/${NIGHTLY_REPORT};v=1`,
    `/workflows%2F${NIGHTLY_REPORT}`,
    `/Workflows/${NIGHTLY_REPORT}`,
    `/workflows/${NIGHTLY_REPORT}%00`,
    `/workflows/${NIGHTLY_REPORT}\\..\\${PAYROLL}`,
  ])('never lets %s reach the upstream', async (target) => {
    const answer = await get(target, bearer(all));
    expect(upstream.seen).toEqual([]);
    expect(table.refusedPath).toContain(answer.status);
  });

  test.each([
    `/workflows/../workflows/${PAYROLL}`,
    `//workflows/${PAYROLL}`,
    `/workflows/${NIGHTLY_REPORT}/../${PAYROLL}`,
  ])('decides on %s as the upstream reads it, or refuses it', async (target) => {
    // The workflow that it leads to is another account's.
    const answer = await get(target, bearer(all));
    expect(upstream.seen).toEqual([]);
    expect(table.refusedPath).toContain(answer.status);
  });

  test('does not let headers choose the method, the path or the HTTP method', async () => {
    for (const header of [
      ['X-Original-URI', `/workflows/${NIGHTLY_REPORT}`],
      ['X-Original-Method', 'GET'],
      ['X-Forwarded-Uri', `/workflows/${NIGHTLY_REPORT}`],
      ['X-Forwarded-Method', 'GET'],
      ['X-Latchkey-Method', 'workflow.getInfo'],
    ] as [string, string][]) {
      refused(await rawRequest(port, 'DELETE', `/workflows/${NIGHTLY_REPORT}`, [bearer(readOnly), header]), 403);
    }
    refused(await get(`/workflows/${NIGHTLY_REPORT}`, bearer(all), ['X-HTTP-Method-Override', 'DELETE']), 403);
  });

  test('does not mistake a failure of the upstream for one of the sidecar', async () => {
    upstream.status = 500;
    const answer = await get(`/workflows/${NIGHTLY_REPORT}`, bearer(all));
    expect([answer.status, answer.body]).toEqual([500, 'from upstream']);
  });

  test('answers 503 and asks to try again when the sidecar cannot decide', async () => {
    const undecided = await UndecidedSidecar.start();
    const listen = await freePort();
    const { grpcPort: grpc, httpPort: http } = undecided;
    const asking = await table.start({ listen, grpc, http, upstream: upstream.port });
    try {
      await asking.waitForPort(listen);
      const answer = await rawRequest(listen, 'GET', `/workflows/${NIGHTLY_REPORT}`, [bearer(all)]);
      refused(answer, 503);
      expect(answer.headers).toMatchObject({ 'retry-after': '1', 'content-type': 'application/problem+json' });
      expect(JSON.parse(answer.body)).toMatchObject({ type: 'urn:latchkey:problem:unavailable', status: 503 });
    } finally {
      await asking.stop();
      await undecided.stop();
    }
  });

  test('refuses a revoked key on the very next request', async () => {
    for (let round = 0; round < 5; round++) {
      const key = await sidecar.createKey({});
      expect((await get(`/workflows/${NIGHTLY_REPORT}`, bearer(key))).status).toBe(200);
      await sidecar.revokeKey(key.id);
      const answer = await get(`/workflows/${NIGHTLY_REPORT}`, bearer(key));
      expect(answer.status).toBe(401);
      expect(JSON.parse(answer.body)).toMatchObject({ reason: 'KEY_REVOKED' });
    }
    expect(upstream.seen).toHaveLength(5);
  });

  test('writes no raw key to its log', async () => {
    if (table.logs !== undefined) {
      expect(await table.logs()).toContain(all.id);
      expect(await table.logs()).not.toContain('nk_live_');
    }
    expect(proxy.text).not.toContain('nk_live_');
    expect(sidecar.process.text).not.toContain('nk_live_');
  });

  return { sidecar: () => sidecar, upstream: () => upstream, proxy: () => proxy, port: () => port };
}

/** The end of every table: the sidecar is gone. Call it last, for it stops the sidecar. */
export function withoutSidecar(table: ProxyTable, shared: ReturnType<typeof proxyTable>): void {
  test(`answers ${table.withoutSidecar} and lets nothing through while the sidecar is stopped`, async () => {
    const key = await shared.sidecar().createKey({});
    await shared.sidecar().stop();
    const headers: [string, string][] = [['Authorization', `Bearer ${key.raw_key}`]];
    const answer = await rawRequest(shared.port(), 'GET', `/workflows/${NIGHTLY_REPORT}`, headers);
    expect([answer.status, shared.upstream().seen.length]).toEqual([table.withoutSidecar, 0]);
    expect((await rawRequest(shared.port(), 'GET', '/healthz')).status).toBe(200);
  });
}

/** Replaces each text in a shipped configuration; every one must stand there at least once. */
export function replaceAll(
  configuration: string,
  replacements: readonly (readonly [from: string, to: string])[],
): string {
  return replacements.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`the shipped configuration does not hold "${from}"`);
    return text.replaceAll(from, to);
  }, configuration);
}
