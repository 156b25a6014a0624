import { Client, credentials, Server as GrpcServer, type Server, ServerCredentials, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { defaultCatalogue } from '../../src/domain/default-catalogue.js';
import { Failure } from '../../src/domain/failure.js';
import { Permission } from '../../src/domain/permissions.js';
import {
  AuthorizationService,
  CheckRequest,
  type CheckResponse,
  type DeniedHttpResponse,
  type OkHttpResponse,
} from '../../src/gen/envoy/service/auth/v3/external_auth.js';
import { silentLogger } from '../../src/ports/logger.js';
import { extAuthzService } from '../../src/transport/grpc/ext-authz-service.js';
import { parseRoutes } from '../../src/transport/routes-file.js';
import { rawKeyOf } from '../support/fakes/builders.js';
import { FOREIGN_WORKFLOW, MapAuthorizer, WORKFLOW_A, WORKFLOW_B } from '../support/peers-authorizer.js';

let authorizer: MapAuthorizer;
let server: Server;
let client: Client;

beforeAll(async () => {
  server = new GrpcServer();
  const service = extAuthzService({
    authorizer: { authorize: (...call) => authorizer.authorize(...call) },
    rules: {
      routes: parseRoutes(
        JSON.stringify([{ match: 'GET /workflows/{workflow_id}', method: 'workflow.getInfo' }]),
        'routes.json',
        defaultCatalogue(),
      ),
      trustMethodHeaders: false,
    },
    logger: silentLogger,
  });
  server.addService(service.definition, service.implementation);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
});

afterAll(() => {
  client.close();
  server.forceShutdown();
});

beforeEach(() => {
  authorizer = new MapAuthorizer();
});

// The generated codec on this side, so that it holds the handwritten one against the contract.
const CHECK = AuthorizationService.check;

function send(request: CheckRequest): Promise<CheckResponse> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      CHECK.path,
      CHECK.requestSerialize,
      CHECK.responseDeserialize,
      request,
      { deadline: Date.now() + 5000 },
      (error, response) => (error ? reject(error) : resolve(response as CheckResponse)),
    );
  });
}

function check(
  headers: Record<string, string>,
  given: { path?: string; method?: string; contextExtensions?: Record<string, string> } = {},
): Promise<CheckResponse> {
  return send(
    CheckRequest.fromPartial({
      attributes: {
        request: { http: { method: given.method ?? 'GET', path: given.path ?? `/workflows/${WORKFLOW_A}`, headers } },
        contextExtensions: given.contextExtensions ?? {},
      },
    }),
  );
}

function okOf(response: CheckResponse): OkHttpResponse {
  expect(response.status?.code).toBe(status.OK);
  if (response.httpResponse?.$case !== 'okResponse') throw new Error('not an OK response');
  return response.httpResponse.value;
}

function deniedOf(response: CheckResponse): DeniedHttpResponse & { headersByName: Record<string, string> } {
  expect(response.status?.code).not.toBe(status.OK);
  if (response.httpResponse?.$case !== 'deniedResponse') throw new Error('not a denied response');
  const denied = response.httpResponse.value;
  const headersByName = Object.fromEntries(
    denied.headers.map(({ header }) => [header?.key ?? '', header?.value ?? '']),
  );
  return { ...denied, headersByName };
}

describe('an allowed check', () => {
  test('sets the identity headers by overwriting and removes the raw key', async () => {
    const key = authorizer.add(1, { permissions: Permission.READ | Permission.EXECUTE, workflowId: WORKFLOW_A });
    const response = await check({ authorization: `Bearer ${key}` });
    const ok = okOf(response);
    expect(ok.headers.map(({ header, appendAction }) => [header?.key, header?.value, appendAction])).toEqual([
      ['x-latchkey-key-id', 'key-1', 2],
      ['x-latchkey-account-id', 'account-a', 2],
      ['x-latchkey-workflow-id', WORKFLOW_A, 2],
      ['x-latchkey-permissions', 'read,execute', 2],
    ]);
    expect(ok.headersToRemove).toEqual(['authorization']);
    expect(response.dynamicMetadata).toEqual({
      decision: 'allow',
      reason: 'GRANTED',
      method: 'workflow.getInfo',
      key_id: 'key-1',
      account_id: 'account-a',
      workflow_id: WORKFLOW_A,
    });
    expect(JSON.stringify(response)).not.toContain(key);
  });

  test('removes a forged workflow header where the key is not limited to one', async () => {
    const key = authorizer.add(1);
    const ok = okOf(await check({ 'x-api-key': key, 'x-latchkey-workflow-id': 'forged', x_latchkey_key_id: 'forged' }));
    expect(ok.headers.map(({ header }) => header?.key)).not.toContain('x-latchkey-workflow-id');
    expect([...ok.headersToRemove].sort()).toEqual(['x-api-key', 'x-latchkey-workflow-id', 'x_latchkey_key_id']);
  });

  test('names no header both to set and to remove, because Envoy removes after it sets', async () => {
    const key = authorizer.add(1, { workflowId: WORKFLOW_A });
    const forged = { 'x-latchkey-key-id': 'a', 'x-latchkey-account-id': 'b', 'x-latchkey-permissions': 'c' };
    const ok = okOf(await check({ authorization: `Bearer ${key}`, ...forged }));
    const set = ok.headers.map(({ header }) => header?.key);
    expect(set.filter((name) => ok.headersToRemove.includes(name ?? ''))).toEqual([]);
    expect(set).toEqual(expect.arrayContaining(Object.keys(forged)));
  });

  test('percent-encodes what would break or split an identity header', async () => {
    const key = authorizer.add(1, { accountId: 'account-a' });
    authorizer.add(2, { id: 'k\r\nx: y,é%' });
    expect(okOf(await check({ authorization: `Bearer ${key}` })).headers[1]?.header?.value).toBe('account-a');
    const ok = okOf(await check({ authorization: `Bearer ${rawKeyOf(2)}` }));
    expect(ok.headers[0]?.header?.value).toBe('k%0D%0Ax:%20y%2C%C3%A9%25');
  });

  test('comes from a decision that had to wait, too', async () => {
    authorizer.later = true;
    expect(okOf(await check({ authorization: `Bearer ${authorizer.add(1)}` })).headers).not.toEqual([]);
  });

  test('may be asked for with raw headers, one by one', async () => {
    const key = authorizer.add(1);
    const raw = (pairs: [string, string][]) =>
      send(
        CheckRequest.fromPartial({
          attributes: {
            request: {
              http: {
                method: 'GET',
                path: `/workflows/${WORKFLOW_A}`,
                headerMap: { headers: pairs.map(([name, value]) => ({ key: name, rawValue: Buffer.from(value) })) },
              },
            },
          },
        }),
      );
    okOf(await raw([['authorization', `Bearer ${key}`]]));
    const twice = await raw([
      ['authorization', `Bearer ${key}`],
      ['authorization', `Bearer ${key}`],
    ]);
    expect(deniedOf(twice).status?.code).toBe(401);
  });
});

describe('a denied check', () => {
  test.each<[string, number, number, (authorizer: MapAuthorizer) => [Record<string, string>, string?]]>([
    ['KEY_MALFORMED', 401, status.UNAUTHENTICATED, () => [{ authorization: 'Bearer nonsense' }]],
    ['KEY_UNKNOWN', 401, status.UNAUTHENTICATED, () => [{ authorization: `Bearer ${rawKeyOf(9)}` }]],
    ['KEY_REVOKED', 401, status.UNAUTHENTICATED, (a) => [{ 'x-api-key': a.add(1, { revoked: true }) }]],
    ['KEY_EXPIRED', 401, status.UNAUTHENTICATED, (a) => [{ 'x-api-key': a.add(1, { expiresAtMs: 1 }) }]],
    ['METHOD_UNKNOWN', 403, status.PERMISSION_DENIED, (a) => [{ 'x-api-key': a.add(1) }, '/elsewhere']],
    ['METHOD_UNKNOWN', 403, status.PERMISSION_DENIED, (a) => [{ 'x-api-key': a.add(1) }, '/workflows/../x']],
    [
      'WORKFLOW_OUT_OF_SCOPE',
      403,
      status.PERMISSION_DENIED,
      (a) => [{ 'x-api-key': a.add(1, { workflowId: WORKFLOW_B }) }],
    ],
    [
      'WORKFLOW_UNKNOWN',
      403,
      status.PERMISSION_DENIED,
      (a) => [{ 'x-api-key': a.add(1) }, `/workflows/${FOREIGN_WORKFLOW}`],
    ],
    [
      'PERMISSION_MISSING',
      403,
      status.PERMISSION_DENIED,
      (a) => [{ 'x-api-key': a.add(1, { permissions: Permission.WRITE }) }],
    ],
  ])('for %s answers %i with a problem document', async (reason, httpStatus, grpcStatus, given) => {
    const [headers, path] = given(authorizer);
    const response = await check(headers, path === undefined ? {} : { path });
    const denied = deniedOf(response);
    expect(response.status?.code).toBe(grpcStatus);
    expect(denied.status?.code).toBe(httpStatus);
    expect(denied.headersByName).toMatchObject({
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      'x-latchkey-reason': reason,
    });
    expect(JSON.parse(denied.body)).toMatchObject({
      type: `urn:latchkey:problem:${reason.toLowerCase().replaceAll('_', '-')}`,
      status: httpStatus,
      reason,
    });
    expect('www-authenticate' in denied.headersByName).toBe(httpStatus === 401);
    expect(response.dynamicMetadata).toMatchObject({ decision: 'deny', reason });
    expect(JSON.stringify(response)).not.toMatch(/nk_live_|nonsense/);
  });

  test('challenges without an error code where no key was given', async () => {
    const none = deniedOf(await check({}));
    expect(none.headersByName['www-authenticate']).toBe('Bearer realm="latchkey"');
    const bad = deniedOf(await check({ authorization: 'Bearer nonsense' }));
    expect(bad.headersByName['www-authenticate']).toBe('Bearer realm="latchkey", error="invalid_token"');
  });

  test('is given to a check without attributes, without a request, and without headers', async () => {
    for (const request of [
      {},
      { attributes: {} },
      { attributes: { request: {} } },
      { attributes: { request: { http: {} } } },
    ]) {
      expect(deniedOf(await send(CheckRequest.fromPartial(request))).status?.code).toBe(401);
    }
  });

  test('does not tell a bad key whether its route exists', async () => {
    const bad = { authorization: `Bearer ${rawKeyOf(9)}` };
    expect(await check(bad)).toMatchObject({ status: (await check(bad, { path: '/elsewhere' })).status });
  });

  test('is given to 64 KiB of header', async () => {
    expect(deniedOf(await check({ 'x-api-key': 'k'.repeat(65536) })).status?.code).toBe(401);
    expect(deniedOf(await check({ authorization: `Bearer ${'a,'.repeat(32768)}` })).status?.code).toBe(401);
  });

  test('is counted under its own surface', async () => {
    await check({});
    expect(authorizer.metrics.of('decision').map(([surface]) => surface)).toEqual(['ext_authz']);
  });
});

describe('a check that cannot be read', () => {
  test('is denied rather than failed, so that no setting of the proxy lets it through', async () => {
    for (const bytes of [[0x0a], [0x0a, 0x05, 0x01], [0xff, 0xff, 0xff], [0x0f, 0x00], [0x0a, 0x02, 0x22, 0x7f]]) {
      const response = await new Promise<CheckResponse>((resolve, reject) => {
        const done = (error: unknown, value?: CheckResponse) =>
          error ? reject(error as Error) : resolve(value as CheckResponse);
        client.makeUnaryRequest(CHECK.path, (raw: Buffer) => raw, CHECK.responseDeserialize, Buffer.from(bytes), done);
      });
      expect(deniedOf(response).status?.code).toBe(401);
    }
  });
});

describe('a check that cannot be decided', () => {
  test.each(['unavailable', 'overloaded', 'deadline-exceeded'] as const)(
    'for %s answers 503 with Retry-After as a denied response, so that no setting of the proxy lets it through',
    async (kind) => {
      authorizer.failure = new Failure(kind, 'The database is down.');
      const response = await check({ authorization: `Bearer ${authorizer.add(1)}` });
      expect(response.status?.code).toBe(status.UNAVAILABLE);
      const denied = deniedOf(response);
      expect(denied.status?.code).toBe(503);
      expect(denied.headersByName).toMatchObject({ 'retry-after': '1', 'content-type': 'application/problem+json' });
      expect(denied.headersByName).not.toHaveProperty('www-authenticate');
      expect(response.dynamicMetadata).toEqual({ decision: 'none' });
    },
  );

  test('because of an unexpected error tells nothing of it', async () => {
    authorizer.authorize = () => Promise.reject(new Error('host db-7 refused'));
    expect(JSON.stringify(await check({}))).not.toContain('db-7');
    authorizer.authorize = () => {
      throw new Error('host db-7 refused');
    };
    expect(deniedOf(await check({})).status?.code).toBe(503);
  });
});
