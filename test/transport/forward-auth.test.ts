import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { defaultCatalogue } from '../../src/domain/default-catalogue.js';
import { Failure } from '../../src/domain/failure.js';
import { Permission } from '../../src/domain/permissions.js';
import { silentLogger } from '../../src/ports/logger.js';
import { forwardAuth } from '../../src/transport/http/forward-auth.js';
import { parseRoutes } from '../../src/transport/routes-file.js';
import { MapAuthorizer, WORKFLOW_A, WORKFLOW_B } from '../support/peers-authorizer.js';

let authorizer: MapAuthorizer;
let app: FastifyInstance;

beforeEach(async () => {
  authorizer = new MapAuthorizer();
  app = fastify();
  await app.register(
    forwardAuth({
      authorizer,
      rules: {
        routes: parseRoutes(
          JSON.stringify([
            { match: 'GET /workflows/{workflow_id}', method: 'workflow.getInfo' },
            { match: 'DELETE /workflows/{workflow_id}', method: 'workflows.delete' },
          ]),
          'routes.json',
          defaultCatalogue(),
        ),
        trustMethodHeaders: false,
      },
      logger: silentLogger,
    }),
  );
  await app.listen({ host: '127.0.0.1', port: 0 });
});

afterEach(() => app.close());

const URI = `/workflows/${WORKFLOW_A}`;

/** Sends headers exactly as they stand, repeated ones included. */
async function ask(
  headers: readonly (readonly [string, string])[],
  method = 'GET',
): Promise<{ status: number; headers: Record<string, string>; body: string }> {
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.end(`${method} /authorize HTTP/1.1\r\nHost: latchkey\r\nConnection: close\r\n${lines}\r\n`);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'close');
  const [head = '', body = ''] = Buffer.concat(chunks).toString().split('\r\n\r\n', 2);
  const [statusLine = '', ...headerLines] = head.split('\r\n');
  return {
    status: Number(statusLine.split(' ')[1]),
    headers: Object.fromEntries(
      headerLines.map((line) => [
        line.slice(0, line.indexOf(':')).toLowerCase(),
        line.slice(line.indexOf(':') + 1).trim(),
      ]),
    ),
    body,
  };
}

const nginx = (method: string, uri: string): [string, string][] => [
  ['X-Original-Method', method],
  ['X-Original-URI', uri],
];
const caddy = (method: string, uri: string): [string, string][] => [
  ['X-Forwarded-Method', method],
  ['X-Forwarded-Uri', uri],
];

describe('forward auth', () => {
  test.each([
    ['nginx', nginx],
    ['Caddy and Traefik', caddy],
  ])('answers 200 with the identity headers in the manner of %s', async (_, describedBy) => {
    const key = authorizer.add(1, { workflowId: WORKFLOW_A, permissions: Permission.READ });
    const answer = await ask([['Authorization', `Bearer ${key}`], ...describedBy('GET', URI)]);
    expect(answer.status).toBe(200);
    expect(answer.body).toBe('');
    expect(answer.headers).toMatchObject({
      'x-latchkey-key-id': 'key-1',
      'x-latchkey-account-id': 'account-a',
      'x-latchkey-workflow-id': WORKFLOW_A,
      'x-latchkey-permissions': 'read',
      'cache-control': 'no-store',
    });
  });

  test('sends an empty workflow header for a key of the whole account, to overwrite a forged one', async () => {
    const answer = await ask([['X-Api-Key', authorizer.add(1)], ...nginx('GET', URI)]);
    expect(answer.status).toBe(200);
    expect(answer.headers['x-latchkey-workflow-id']).toBe('');
  });

  test.each(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])('is asked by %s as well', async (method) => {
    const key = authorizer.add(1);
    expect((await ask([['X-Api-Key', key], ...nginx('GET', URI)], method)).status).toBe(200);
    expect((await ask([['X-Api-Key', 'nonsense'], ...nginx('GET', URI)], method)).status).toBe(401);
  });

  test('decides on the original method, not on its own', async () => {
    const key = authorizer.add(1, { permissions: Permission.READ });
    expect((await ask([['X-Api-Key', key], ...nginx('GET', URI)], 'DELETE')).status).toBe(200);
    expect((await ask([['X-Api-Key', key], ...nginx('DELETE', URI)], 'GET')).status).toBe(403);
  });

  test('does not read the body that a proxy announces', async () => {
    const key = authorizer.add(1);
    const headers: [string, string][] = [
      ['X-Api-Key', key],
      ['Content-Type', 'application/x-unheard-of'],
      ['Content-Length', '4096'],
    ];
    expect((await ask([...headers, ...nginx('GET', URI)], 'POST')).status).toBe(200);
  });

  test('denies with 401, a challenge and a problem document', async () => {
    const answer = await ask([['X-Api-Key', authorizer.add(1, { revoked: true })], ...nginx('GET', URI)]);
    expect(answer.status).toBe(401);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/problem+json',
      'www-authenticate': 'Bearer realm="latchkey", error="invalid_token"',
      'x-latchkey-reason': 'KEY_REVOKED',
    });
    expect(JSON.parse(answer.body)).toMatchObject({ status: 401, reason: 'KEY_REVOKED' });
    expect(answer.headers).not.toHaveProperty('x-latchkey-key-id');
  });

  test('denies with 403 and no challenge', async () => {
    const answer = await ask([['X-Api-Key', authorizer.add(1, { workflowId: WORKFLOW_B })], ...nginx('GET', URI)]);
    expect(answer.status).toBe(403);
    expect(answer.headers['x-latchkey-reason']).toBe('WORKFLOW_OUT_OF_SCOPE');
    expect(answer.headers).not.toHaveProperty('www-authenticate');
  });

  test('answers 503 with Retry-After when no decision can be made', async () => {
    authorizer.failure = new Failure('unavailable', 'The database is down.');
    const answer = await ask([['X-Api-Key', authorizer.add(1)], ...nginx('GET', URI)]);
    expect(answer.status).toBe(503);
    expect(answer.headers['retry-after']).toBe('1');
  });

  test.each<[string, (key: string) => [string, string][]]>([
    ['both families, in conflict on the URI', () => [...nginx('GET', URI), ...caddy('GET', '/elsewhere')]],
    ['both families, in conflict on the method', () => [...nginx('GET', URI), ...caddy('DELETE', URI)]],
    ['a URI without a method', () => [['X-Original-URI', URI]]],
    ['a method without a URI', () => [['X-Forwarded-Method', 'GET']]],
    [
      'a half of each family',
      () => [
        ['X-Original-URI', URI],
        ['X-Forwarded-Method', 'GET'],
      ],
    ],
    ['one family and half of the other', () => [...nginx('GET', URI), ['X-Forwarded-Method', 'GET']]],
    ['a URI twice', () => [...nginx('GET', URI), ['X-Original-URI', URI]]],
    ['an empty URI and another', () => [['X-Original-URI', ''], ...nginx('GET', URI)]],
    ['no description of the original request', () => []],
    ['a path with dot segments', () => nginx('GET', `/a/..${URI}`)],
    ['a URI in absolute form', () => nginx('GET', `http://host${URI}`)],
  ])('denies a good key with %s', async (_, headers) => {
    const key = authorizer.add(1);
    const answer = await ask([['X-Api-Key', key], ...headers(key)]);
    expect(answer.status).toBe(403);
    expect(answer.headers['x-latchkey-reason']).toBe('METHOD_UNKNOWN');
  });

  test('accepts both families when they agree', async () => {
    const answer = await ask([['X-Api-Key', authorizer.add(1)], ...nginx('GET', URI), ...caddy('GET', URI)]);
    expect(answer.status).toBe(200);
  });

  test('sees a repeated Authorization, which the parsed headers of Node would hide', async () => {
    const key = authorizer.add(1);
    const answer = await ask([
      ['Authorization', `Bearer ${key}`],
      ['Authorization', `Bearer ${key}`],
      ...nginx('GET', URI),
    ]);
    expect(answer.status).toBe(401);
  });

  test('is counted under its own surface', async () => {
    await ask([['X-Api-Key', authorizer.add(1)], ...nginx('GET', URI)]);
    expect(authorizer.metrics.of('decision').map(([surface]) => surface)).toEqual(['forward_auth']);
  });
});
