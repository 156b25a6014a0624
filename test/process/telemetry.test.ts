import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { credentials, Metadata } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AuthorizationServiceClient, type AuthorizeResponse } from '../../src/gen/latchkey/v1/authorization_service.js';
import { Reason } from '../../src/gen/latchkey/v1/decision.js';
import { testDatabase } from '../support/database.js';
import { unary } from '../support/grpc.js';
import { type Ended, type Env, FREE_PORTS, Program } from '../support/program.js';
import { waitUntil } from '../support/wait-until.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const TRACEPARENT = `00-${TRACE}-${PARENT}-01`;
const SESSION = 'session-of-acme';

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: number };
}

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly attributes: readonly Attribute[];
  readonly status: { readonly code?: number };
}

interface Metric {
  readonly name: string;
  readonly sum?: {
    readonly isMonotonic: boolean;
    readonly dataPoints: readonly { readonly attributes: readonly Attribute[]; readonly asDouble: number }[];
  };
  readonly histogram?: {
    readonly dataPoints: readonly { readonly count: number; readonly bucketCounts: readonly number[] }[];
  };
}

interface Export {
  readonly resourceSpans?: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[];
  }[];
  readonly resourceMetrics?: readonly { readonly scopeMetrics: readonly { readonly metrics: readonly Metric[] }[] }[];
}

const plain = (attributes: readonly Attribute[] = []) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue]));

/** A collector that takes OTLP over HTTP as JSON and keeps all of it. */
class Collector {
  readonly bodies: string[] = [];
  readonly paths = new Set<string>();
  readonly tokens = new Set<string | undefined>();
  private readonly server = createServer((request, response) => {
    void text(request).then((body) => {
      this.bodies.push(body);
      this.paths.add(request.url ?? '');
      this.tokens.add(request.headers['x-token'] as string | undefined);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });

  async start(): Promise<string> {
    await new Promise<void>((resolve) => void this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  get exports(): readonly Export[] {
    return this.bodies.map((body) => JSON.parse(body) as Export);
  }

  get spans(): readonly Span[] {
    return this.exports.flatMap(({ resourceSpans = [] }) =>
      resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
    );
  }

  get metrics(): readonly Metric[] {
    return this.exports.flatMap(({ resourceMetrics = [] }) =>
      resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics)),
    );
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}

describe('a sidecar that exports', async () => {
  const database = await testDatabase();
  const collector = new Collector();
  let sidecar: Program;
  let ended: Ended;
  let http = '';
  let client: AuthorizationServiceClient;
  let rawKey = '';

  const settings = (url: string): Env => ({
    ...FREE_PORTS,
    DATABASE_URL: database.url,
    LATCHKEY_SESSION_MODE: 'table',
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_EXPORTER_OTLP_HEADERS: 'x-token=of%20tests',
    OTEL_METRIC_EXPORT_INTERVAL: '200',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
  });

  const call = (key: string, traceparent?: string): Promise<AuthorizeResponse> => {
    const metadata = new Metadata();
    if (traceparent !== undefined) metadata.set('traceparent', traceparent);
    return unary((done) => client.authorize({ key, workflowId: '', method: 'workflows.list' }, metadata, done));
  };

  beforeAll(async () => {
    await database.query('INSERT INTO latchkey.sessions VALUES ($1, $2, $3)', [
      createHash('sha256').update(SESSION).digest(),
      'acme',
      '2099-01-01T00:00:00Z',
    ]);
    sidecar = new Program(['serve'], settings(await collector.start()));
    const addresses = await sidecar.ready();
    http = addresses.http ?? '';
    client = new AuthorizationServiceClient(addresses.grpc[0] ?? '', credentials.createInsecure());

    const headers = { cookie: `session=${SESSION}`, 'content-type': 'application/json', traceparent: TRACEPARENT };
    const created = await fetch(`${http}/api/keys`, { method: 'POST', headers, body: '{"name": "traced"}' });
    const key = (await created.json()) as { id: string; raw_key: string };
    rawKey = key.raw_key;
    expect((await call(rawKey, TRACEPARENT)).reason).toBe(Reason.GRANTED);
    expect((await call('nk_live_short')).reason).toBe(Reason.KEY_MALFORMED);
    await expect(call('x'.repeat(5000))).rejects.toThrow('INVALID_ARGUMENT');
    await fetch(`${http}/authorize?key=${rawKey}`, { headers: { authorization: `Bearer ${rawKey}` } });
    await fetch(`${http}/api/keys/${key.id}`, { method: 'DELETE', headers });
    await waitUntil('metrics are exported', () => collector.metrics.length > 0);
    client.close();
    sidecar.kill('SIGTERM');
    ended = await sidecar.ended;
  });
  afterAll(() => {
    sidecar.kill('SIGKILL');
    collector.stop();
  });

  const named = (name: string) => collector.spans.filter((span) => span.name === name);

  it('sends to the paths of OTLP, with the headers it was given, and what is left when it stops', () => {
    expect(collector.paths).toEqual(new Set(['/v1/traces', '/v1/metrics']));
    expect(collector.tokens).toEqual(new Set(['of tests']));
    expect(ended.code).toBe(0);
  });

  it('says what it is', () => {
    const [first] = collector.exports.flatMap(({ resourceSpans = [] }) => resourceSpans);
    expect(plain(first?.resource.attributes)).toMatchObject({
      'service.name': 'latchkey',
      'service.version': expect.any(String),
      'service.instance.id': expect.any(String),
      'deployment.environment.name': 'test',
    });
  });

  it('continues the trace of a gRPC caller, by the conventions for gRPC', () => {
    const [traced, ...others] = named('latchkey.v1.AuthorizationService/Authorize');
    expect(traced).toMatchObject({ traceId: TRACE, parentSpanId: PARENT, kind: 2 });
    expect(plain(traced?.attributes)).toEqual({
      'rpc.system': 'grpc',
      'rpc.service': 'latchkey.v1.AuthorizationService',
      'rpc.method': 'Authorize',
      'rpc.grpc.status_code': 0,
    });
    expect(others).toHaveLength(2);
    for (const other of others) expect(other.traceId).not.toBe(TRACE);
    // Neither a denial nor a bad request is a fault of the server.
    expect(others.map(({ status }) => status.code ?? 0)).toEqual([0, 0]);
    expect(others.map(({ attributes }) => plain(attributes)['rpc.grpc.status_code']).sort()).toEqual([0, 3]);
  });

  it('continues the trace of an HTTP caller, by route and not by path', () => {
    const [created] = named('POST /api/keys');
    expect(created).toMatchObject({ traceId: TRACE, parentSpanId: PARENT, kind: 2 });
    expect(plain(created?.attributes)).toMatchObject({ 'http.route': '/api/keys', 'http.response.status_code': 201 });
    expect(named('DELETE /api/keys/:key_id').concat(named('DELETE /api/keys/:keyId'))).toHaveLength(1);
    expect(named('GET /authorize')).toHaveLength(1);
  });

  it('names the trace in the log lines of a call, and in no others', () => {
    const lines = sidecar.log;
    const revoked = lines.find(({ message }) => message === 'key revoked');
    const [span] = collector.spans.filter(({ name }) => name.startsWith('DELETE '));
    expect(revoked).toMatchObject({ trace_id: TRACE, span_id: span?.spanId });
    expect(lines.find(({ message }) => message === 'ready')).not.toHaveProperty('trace_id');
  });

  it('exports the metrics that are scraped, under the same names', () => {
    const decisions = collector.metrics.filter(({ name }) => name === 'latchkey_decisions_total').at(-1);
    expect(decisions?.sum?.isMonotonic).toBe(true);
    const granted = decisions?.sum?.dataPoints.find(({ attributes }) => {
      const { reason, surface } = plain(attributes);
      return reason === 'GRANTED' && surface === 'authorize';
    });
    expect(granted?.asDouble).toBe(1);
    const duration = collector.metrics.filter(({ name }) => name === 'latchkey_revocation_confirmed_seconds').at(-1);
    const [point] = duration?.histogram?.dataPoints ?? [];
    expect(Number(point?.count)).toBe(1);
    expect(point?.bucketCounts.map(Number).reduce((sum, each) => sum + each, 0)).toBe(1);
  });

  it('exports no key, no hash of one, and no session', () => {
    const everything = collector.bodies.join('\n') + ended.stderr;
    expect(collector.spans.length).toBeGreaterThan(4);
    const hash = createHash('sha256').update(rawKey).digest();
    for (const secret of [rawKey, rawKey.slice(12), hash.toString('hex'), hash.toString('base64'), SESSION]) {
      expect(everything).not.toContain(secret);
    }
  });

  it('answers as ever while the collector is gone', async () => {
    const deaf = new Program(['serve'], settings('http://127.0.0.1:1'));
    const { grpc } = await deaf.ready();
    const other = new AuthorizationServiceClient(grpc[0] ?? '', credentials.createInsecure());
    const ask = () =>
      unary<AuthorizeResponse>((done) =>
        other.authorize({ key: rawKey, workflowId: '', method: 'workflows.list' }, done),
      );
    await deaf.logged('telemetry could not be exported; what could not is dropped');
    expect((await ask()).reason).toBe(Reason.KEY_REVOKED);
    other.close();
    deaf.kill('SIGTERM');
    expect((await deaf.ended).code).toBe(0);
  });
});
