import { once } from 'node:events';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Failure } from '../../../src/domain/failure.js';
import { mintRawKey } from '../../../src/domain/raw-key.js';
import { settingsPage } from '../../../src/transport/http/settings/settings-page.js';
import { ADA, type AppUnderTest, appUnderTest, BOB } from './app-under-test.js';

let http: AppUnderTest;

beforeEach(async () => {
  http = await appUnderTest();
});

afterEach(async () => {
  await http.app.close();
});

const post = (headers: Record<string, string>, payload: string | Buffer = '{"name":"x"}') =>
  http.send({
    method: 'POST',
    url: '/api/keys',
    headers: { 'content-type': 'application/json', ...headers },
    payload,
  });

const keysOfAda = async () => (await http.ada('GET', '/api/keys')).json();

describe('a request', () => {
  const rawKey = mintRawKey();

  it.each([
    ['without a cookie', {}],
    ['with an empty cookie', { cookie: '' }],
    ['with an empty session', { cookie: 'session=' }],
    ['with an unknown session', { cookie: 'session=token-of-eve' }],
    ['with a session of 3 KiB', { cookie: `session=${'x'.repeat(3072)}` }],
    ['with two sessions', { cookie: `${ADA}; ${BOB}` }],
    ['with one session twice', { cookie: `${ADA}; ${ADA}` }],
    ['with the session under another name', { cookie: 'Session=token-of-ada' }],
    ['with the session in another header', { authorization: 'Bearer token-of-ada' }],
  ])('%s gets 401, and changes nothing', async (_title, headers) => {
    for (const [method, url] of [
      ['POST', '/api/keys'],
      ['GET', '/api/keys'],
      ['DELETE', '/api/keys/3f0c2f1e-5d8a-4a53-9d43-0d4a6a0c7a11'],
      ['POST', '/api/keys/3f0c2f1e-5d8a-4a53-9d43-0d4a6a0c7a11/rotate'],
      ['GET', '/api/workflows'],
    ] as const) {
      const response = await http.send({
        method,
        url,
        headers,
        ...(method === 'POST' ? { payload: { name: 'x' } } : {}),
      });
      expect(response.statusCode).toBe(401);
      expect(response.headers['www-authenticate']).toContain('Cookie');
      expect(response.json().type).toBe('urn:latchkey:problem:unauthenticated');
    }
    expect(await keysOfAda()).toEqual([]);
  });

  it.each([
    ['as a bearer token', { authorization: `Bearer ${rawKey}` }],
    ['as a bearer token in small letters', { authorization: `bearer ${rawKey}` }],
    ['in X-Api-Key', { 'x-api-key': rawKey }],
  ])('that carries only an API key, %s, gets a 401 that says so and does not repeat it', async (_title, headers) => {
    const response = await post(headers);
    expect(response.statusCode).toBe(401);
    expect(response.json().detail).toContain('API key cannot manage keys');
    expect(response.body).not.toContain(rawKey);
  });

  it('is judged by its session when it carries an API key beside it', async () => {
    expect((await post({ cookie: ADA, 'x-api-key': rawKey })).statusCode).toBe(201);
  });

  it('of a stranger is refused before its body is read', async () => {
    expect((await post({}, 'x'.repeat(2 * 1024 * 1024))).statusCode).toBe(401);
  });

  it('whose session cannot be checked gets 503 with Retry-After, and no word of the reason', async () => {
    await http.app.close();
    const cause = new Error('connect ECONNREFUSED 10.1.2.3:5432');
    const sessions = {
      authenticate: () => Promise.reject(new Failure('unavailable', 'Sessions cannot be checked.', { cause })),
    };
    http = await appUnderTest({ sessions });
    const response = await http.ada('GET', '/api/keys');
    expect(response.statusCode).toBe(503);
    expect(response.headers['retry-after']).toBe('1');
    expect(response.body).not.toContain('ECONNREFUSED');
  });

  it('that meets a defect gets a bland 500, and the log has the rest under the same id', async () => {
    await http.app.close();
    const sessions = { authenticate: () => Promise.reject(new TypeError('secret detail of the code')) };
    http = await appUnderTest({ sessions });
    const response = await http.ada('GET', '/api/keys');
    expect(response.statusCode).toBe(500);
    expect(response.body).not.toContain('secret detail');
    const logged = http.logger.lines.find(({ level }) => level === 'error');
    expect(String((logged?.fields.error as Error | undefined)?.message)).toBe('secret detail of the code');
    expect(response.json().instance).toBe(`urn:uuid:${logged?.fields.requestId}`);
  });
});

describe('a body', () => {
  it.each([
    ['broken', '{"name":'],
    ['empty', ''],
    ['not an object', '[]'],
    ['null', 'null'],
    ['a string', '"name"'],
    ['not JSON', 'name=x'],
    ['with a comment', '{"name":"x"/**/}'],
    ['with the name twice', '{"name":"a","name":"b"}'],
    ['with the name twice, once escaped', '{"name":"a","n\\u0061me":"b"}'],
    ['with a field twice, deep inside', '{"name":"a","x":[{"y":1,"y":2}]}'],
    ['with __proto__', '{"name":"a","__proto__":{"workflow_id":"workflow-nightly"}}'],
    ['of brackets, 30000 deep', '['.repeat(30_000) + ']'.repeat(30_000)],
    ['not UTF-8', Buffer.from([0x7b, 0x22, 0x6e, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
  ])('that is %s gets 422 and changes nothing', async (_title, payload) => {
    const response = await post({ cookie: ADA }, payload);
    expect(response.statusCode).toBe(422);
    expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(response.json().errors.length).toBeGreaterThan(0);
    expect(await keysOfAda()).toEqual([]);
  });

  it.each(['{"a":"\\"a\\":1,\\"a\\":2","name":"x"}', '{"name":"{\\"name\\":1}"}'])(
    'is not taken for repetitive because of what its strings hold: %s',
    async (payload) => {
      const response = await post({ cookie: ADA }, payload);
      expect(response.body).not.toContain('twice');
    },
  );

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jsonp',
    'text/json',
    'nonsense',
  ])('of type %s gets 415', async (type) => {
    const response = await post({ cookie: ADA, 'content-type': type });
    expect(response.statusCode).toBe(415);
    expect(await keysOfAda()).toEqual([]);
  });

  it('of a form without fields gets 415 too: a page of another site can send one', async () => {
    const response = await post({ cookie: ADA, 'content-type': 'application/x-www-form-urlencoded' }, '');
    expect(response.statusCode).toBe(415);
  });

  it('may say its charset', async () => {
    expect((await post({ cookie: ADA, 'content-type': 'application/json; charset=utf-8' })).statusCode).toBe(201);
  });

  it('of 64 KiB and one byte gets 413', async () => {
    const response = await post({ cookie: ADA }, JSON.stringify({ name: 'x' }).padEnd(64 * 1024 + 1));
    expect(response.statusCode).toBe(413);
    expect(response.json().type).toBe('urn:latchkey:problem:too-large');
  });
});

describe('a write', () => {
  const own = { host: 'latchkey.example', cookie: ADA };

  it.each([
    ['from no browser', {}],
    ["from this origin's page", { origin: 'https://latchkey.example', 'sec-fetch-site': 'same-origin' }],
    ["from this origin's page, in an old browser", { origin: 'http://latchkey.example' }],
    ['of the person, without a page', { 'sec-fetch-site': 'none' }],
    ['from a page whose origin is listed', { origin: 'https://dashboard.example', 'sec-fetch-site': 'cross-site' }],
  ])('%s is accepted', async (_title, headers) => {
    expect((await post({ ...own, ...headers })).statusCode).toBe(201);
  });

  it.each([
    ['another origin', { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }],
    ['another origin, in an old browser', { origin: 'https://evil.example' }],
    ['a neighbouring subdomain', { origin: 'https://blog.latchkey.example', 'sec-fetch-site': 'same-site' }],
    ['another port', { origin: 'https://latchkey.example:8443', 'sec-fetch-site': 'same-site' }],
    ['an opaque origin', { origin: 'null', 'sec-fetch-site': 'cross-site' }],
    ['an origin that is not one', { origin: 'latchkey.example' }],
    ['a browser that says cross-site and nothing else', { 'sec-fetch-site': 'cross-site' }],
    ['the same host over another scheme', { origin: 'http://latchkey.example', 'sec-fetch-site': 'cross-site' }],
    ['headers that contradict each other', { origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' }],
    ['an origin that begins like a listed one', { origin: 'https://dashboard.example.evil.example' }],
    ['a listed origin over another scheme', { origin: 'http://dashboard.example' }],
  ])('from %s gets 403 and changes nothing', async (_title, headers) => {
    for (const [method, url] of [
      ['POST', '/api/keys'],
      ['DELETE', '/api/keys/3f0c2f1e-5d8a-4a53-9d43-0d4a6a0c7a11'],
      ['POST', '/api/keys/3f0c2f1e-5d8a-4a53-9d43-0d4a6a0c7a11/rotate'],
    ] as const) {
      const response = await http.send({ method, url, headers: { ...own, ...headers } });
      expect(response.statusCode).toBe(403);
      expect(response.json().type).toBe('urn:latchkey:problem:cross-site');
    }
    expect(await keysOfAda()).toEqual([]);
  });
});

describe('CORS', () => {
  const preflight = (origin: string) =>
    http.send({
      method: 'OPTIONS',
      url: '/api/keys',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' },
    });

  it('lets a listed origin in, with its cookies', async () => {
    const response = await preflight('https://dashboard.example');
    expect(response.statusCode).toBe(204);
    expect(response.headers).toMatchObject({
      'access-control-allow-origin': 'https://dashboard.example',
      'access-control-allow-credentials': 'true',
      'access-control-allow-headers': 'content-type, if-none-match',
    });
    const answer = await http.send({
      method: 'GET',
      url: '/api/keys',
      headers: { cookie: ADA, origin: 'https://dashboard.example', 'sec-fetch-site': 'cross-site' },
    });
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': 'https://dashboard.example',
      'access-control-expose-headers': 'etag, latchkey-account, link, retry-after',
    });
    expect(answer.headers.vary).toContain('Origin');
  });

  it('lets a listed origin read why it was refused', async () => {
    const headers = { origin: 'https://dashboard.example' };
    const response = await http.send({ method: 'GET', url: '/api/keys', headers });
    expect(response.statusCode).toBe(401);
    expect(response.headers['access-control-allow-origin']).toBe('https://dashboard.example');
  });

  it.each(['https://evil.example', 'null', 'http://dashboard.example'])('names no origin to %s', async (origin) => {
    const response = await preflight(origin);
    expect(response.headers['access-control-allow-origin']).toBeUndefined();
  });

  it('is off when no origin is listed', async () => {
    await http.app.close();
    http = await appUnderTest({ allowedOrigins: [] });
    const response = await preflight('https://dashboard.example');
    expect(response.headers['access-control-allow-origin']).toBeUndefined();
    expect(response.headers.allow).toContain('POST');
  });
});

describe('an address', () => {
  it.each([
    '/nothing',
    '/api',
    '/api/',
    '/api/keys/',
    '/api/key',
    '/API/KEYS',
    '//api/keys',
    '/api/keys/1/2/3',
    '/%zz',
  ])('%s, where there is nothing, gets a 404 problem', async (url) => {
    const response = await http.ada('GET', url);
    expect(response.statusCode).toBe(404);
    expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
  });

  it.each([
    ['PUT', '/api/keys', 'GET, HEAD, POST, OPTIONS'],
    ['PATCH', '/api/keys/3f0c2f1e-5d8a-4a53-9d43-0d4a6a0c7a11', 'DELETE, OPTIONS'],
    ['GET', '/api/keys/3f0c2f1e-5d8a-4a53-9d43-0d4a6a0c7a11/rotate', 'POST, OPTIONS'],
    ['DELETE', '/api/workflows', 'GET, HEAD, OPTIONS'],
    ['POST', '/api/openapi.json?x=1', 'GET, HEAD, OPTIONS'],
  ] as const)('answers %s %s with 405 and what it knows', async (method, url, allow) => {
    const response = await http.send({
      method,
      url,
      headers: { cookie: ADA, 'content-type': 'text/xml' },
      payload: '<x/>',
    });
    expect(response.statusCode).toBe(405);
    expect(response.headers.allow).toBe(allow);
    expect(response.json().type).toBe('urn:latchkey:problem:method-not-allowed');
  });
});

describe('an asset of the settings page', () => {
  it.each(['GET', 'HEAD'] as const)('that is not there gets a 404 problem for %s', async (method) => {
    await http.app.close();
    const assets = new Map([['page.html', '']]);
    http = await appUnderTest({ plugins: [(app) => settingsPage(app, { assets })] });
    const response = await http.send({ method, url: '/settings/developer/assets/settings.0123456789ab.js' });
    expect(response.statusCode).toBe(404);
    expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(response.headers.allow).toBeUndefined();
  });
});

describe('every answer', () => {
  it.each(['/api/keys', '/api/openapi.json', '/nothing', '/%zz'])('of %s has security headers', async (url) => {
    expect((await http.ada('GET', url)).headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    });
  });

  it('is logged and counted by the template of its route, without address, cookie or key', async () => {
    const rawKey = mintRawKey();
    await http.ada('DELETE', `/api/keys/3f0c2f1e-5d8a-4a53-9d43-0d4a6a0c7a11?${rawKey}`);
    await http.ada('GET', `/${rawKey}`);
    expect(http.metrics.of('httpRequest').map((call) => call.slice(0, 3))).toEqual([
      ['DELETE', '/api/keys/:key_id', 404],
      ['GET', 'none', 404],
    ]);
    const lines = http.logger.lines.filter(({ message }) => message === 'http request');
    expect(lines[0]).toMatchObject({
      level: 'info',
      fields: { route: '/api/keys/:key_id', status: 404, accountId: 'ada' },
    });
    expect(JSON.stringify(http.logger.lines)).not.toContain('nk_live_');
    expect(JSON.stringify(http.logger.lines)).not.toContain('token-of-ada');
  });
});

describe('over a real socket', () => {
  let port: number;

  beforeEach(async () => {
    await http.app.listen({ host: '127.0.0.1', port: 0 });
    port = (http.app.server.address() as AddressInfo).port;
  });

  async function raw(bytes: string): Promise<string> {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    socket.write(bytes);
    await once(socket, 'close');
    return text;
  }

  it('answers a body of 2 MiB with 413 and serves the next request', async () => {
    const large = request({
      port,
      method: 'POST',
      path: '/api/keys',
      headers: { cookie: ADA, 'content-type': 'application/json', 'content-length': 2 * 1024 * 1024 },
    });
    large.on('error', () => {
      // The server hangs up on what it will not read; the answer was sent before.
    });
    large.write('x'.repeat(1024));
    const [response] = await once(large, 'response');
    expect(response.statusCode).toBe(413);
    large.destroy();
    const next = await fetch(`http://127.0.0.1:${port}/api/keys`, { headers: { cookie: ADA } });
    expect(next.status).toBe(200);
  });

  it('answers a body of 2 MiB that comes in chunks of unknown length with 413', async () => {
    const large = request({
      port,
      method: 'POST',
      path: '/api/keys',
      headers: { cookie: ADA, 'content-type': 'application/json' },
    });
    large.on('error', () => {});
    for (let i = 0; i < 128; i++) large.write('x'.repeat(16 * 1024));
    const [response] = await once(large, 'response');
    expect(response.statusCode).toBe(413);
    large.destroy();
  });

  it('answers bytes that are no request with 400, as a problem', async () => {
    const text = await raw('nonsense\r\n\r\n');
    expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(text).toContain('application/problem+json');
    expect(text).toContain('urn:latchkey:problem:bad-request');
  });

  it('answers headers of 32 KiB with 431, as a problem', async () => {
    const text = await raw(`GET /api/keys HTTP/1.1\r\nHost: x\r\nCookie: session=${'x'.repeat(32 * 1024)}\r\n\r\n`);
    expect(text).toMatch(/^HTTP\/1\.1 431 /);
    expect(text).toContain('urn:latchkey:problem:headers-too-large');
  });

  it('refuses two Cookie headers that each hold a session', async () => {
    const text = await raw(
      `GET /api/keys HTTP/1.1\r\nHost: x\r\nCookie: ${ADA}\r\nCookie: ${BOB}\r\nConnection: close\r\n\r\n`,
    );
    expect(text).toMatch(/^HTTP\/1\.1 401 /);
  });

  /** Holds creations until `release`; `entered` resolves when one has come in. */
  function holdCreations(): { readonly entered: Promise<void>; readonly release: () => void } {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const entered = new Promise<void>((resolve) => {
      http.barrier.settle = async () => {
        resolve();
        await held;
        return true;
      };
    });
    return { entered, release };
  }

  it('lets a call in flight finish while it closes', async () => {
    const { entered, release } = holdCreations();
    const answer = fetch(`http://127.0.0.1:${port}/api/keys`, {
      method: 'POST',
      headers: { cookie: ADA, 'content-type': 'application/json' },
      body: '{"name":"x"}',
    });
    await entered;
    const closed = http.app.close();
    release();
    expect((await answer).status).toBe(201);
    await closed;
  });

  it('serves what comes in on an open connection while it closes, and then hangs up', async () => {
    const { entered, release } = holdCreations();
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    const headers = `Host: localhost\r\nCookie: ${ADA}\r\n`;
    socket.write(
      `POST /api/keys HTTP/1.1\r\n${headers}Content-Type: application/json\r\nContent-Length: 12\r\n\r\n{"name":"x"}`,
    );
    await entered;
    const arrived = new Promise<void>((resolve) => {
      http.app.server.prependOnceListener('request', () => resolve());
    });
    const closed = http.app.close();
    socket.write(`GET /api/workflows HTTP/1.1\r\n${headers}\r\n`);
    await arrived;
    release();
    await once(socket, 'close');
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 201', 'HTTP/1.1 200']);
    expect(text).toMatch(/connection: close/i);
    await closed;
  });
});
