import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Permission } from '../../../src/domain/permissions.js';
import { hashRawKey } from '../../../src/domain/raw-key.js';
import { ADA, type AppUnderTest, appUnderTest, BOB } from './app-under-test.js';

let http: AppUnderTest;

beforeEach(async () => {
  http = await appUnderTest();
});

afterEach(async () => {
  vi.useRealTimers();
  await http.app.close();
});

const create = async (body: object = { name: 'Dashboard' }) => {
  const response = await http.ada('POST', '/api/keys', body);
  expect(response.statusCode).toBe(201);
  return response.json();
};

const list = async (query = '') => (await http.ada('GET', `/api/keys${query}`)).json();

describe('POST /api/keys', () => {
  it('answers with every documented field, the raw key among them, and forbids storing it', async () => {
    const response = await http.ada('POST', '/api/keys', {
      name: '  My Dashboard App  ',
      workflow_id: 'workflow-nightly',
      permissions: ['write', 'read'],
      expires_at: '2031-02-03T04:05:06+01:00',
    });

    expect(response.statusCode).toBe(201);
    expect(response.headers['cache-control']).toBe('no-store');
    const { id, raw_key, ...rest } = response.json();
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(raw_key).toMatch(/^nk_live_[0-9a-f]{64}$/);
    expect(rest).toEqual({
      name: 'My Dashboard App',
      key_prefix: raw_key.slice(0, 12),
      workflow_id: 'workflow-nightly',
      permissions: ['read', 'write'],
      created_at: '2030-01-01T00:00:00.000Z',
      last_used_at: null,
      expires_at: '2031-02-03T03:05:06.000Z',
      revoked_at: null,
    });
  });

  it('gives everything to a key of which only the name was said', async () => {
    expect(await create({ name: 'x' })).toMatchObject({
      workflow_id: null,
      permissions: ['read', 'execute', 'write'],
      expires_at: null,
    });
  });

  it('takes null for a field that was left out', async () => {
    expect(await create({ name: 'x', workflow_id: null, permissions: null, expires_at: null })).toMatchObject({
      workflow_id: null,
      permissions: ['read', 'execute', 'write'],
      expires_at: null,
    });
  });

  it('shows the raw key in this answer only, and writes it to no log', async () => {
    const { raw_key } = await create();
    expect(JSON.stringify(await list())).not.toContain(raw_key);
    expect(JSON.stringify(http.logger.lines)).not.toContain(raw_key);
    expect(JSON.stringify(http.metrics.calls)).not.toContain(raw_key);
  });

  it.each(['emoji 🗝️ 👩‍👩‍👧', '日本語', '<b>bold</b>', 'x'.repeat(100), '🗝'.repeat(100), ' \u00a0padded\u3000 '])(
    'takes the name %j as it is, trimmed',
    async (name) => {
      expect(await create({ name })).toMatchObject({ name: name.trim() });
    },
  );

  it.each([
    ['a blank name', { name: '   ' }, 'name', 'must not be blank'],
    ['an empty name', { name: '' }, 'name', 'must not be blank'],
    ['101 characters', { name: 'x'.repeat(101) }, 'name', 'must have at most 100 characters'],
    ['101 emoji', { name: '🗝'.repeat(101) }, 'name', 'must have at most 100 characters'],
    ['a newline in the name', { name: 'a\nb' }, 'name', 'must not contain control characters'],
    ['a newline after the name', { name: 'a\n' }, 'name', 'must not contain control characters'],
    ['NUL in the name', { name: 'a\0' }, 'name', 'must not contain control characters'],
    ['a bidi override in the name', { name: 'a\u202eb' }, 'name', 'must not contain control characters'],
    ['half a surrogate pair in the name', { name: 'a\ud83d' }, 'name', 'must not contain control characters'],
    ['an API key for a name', { name: `nk_live_${'0a'.repeat(32)}` }, 'name', 'must not hold an API key'],
    ['a part of an API key in the name', { name: `my nk_live_${'0A'.repeat(8)}` }, 'name', 'must not hold an API key'],
    ['a number for a name', { name: 5 }, 'name', 'must be string'],
    ['no name', {}, 'name', 'is required'],
    ['no permission', { name: 'x', permissions: [] }, 'permissions', 'must not have fewer than 1 items'],
    ['a permission twice', { name: 'x', permissions: ['read', 'read'] }, 'permissions', 'must not repeat an item'],
    [
      'an unknown permission',
      { name: 'x', permissions: ['admin'] },
      'permissions',
      'must be one of read, execute, write',
    ],
    [
      'a permission in capitals',
      { name: 'x', permissions: ['READ'] },
      'permissions',
      'must be one of read, execute, write',
    ],
    ['permissions as a string', { name: 'x', permissions: 'read' }, 'permissions', 'must be either array or null'],
    ['an empty workflow', { name: 'x', workflow_id: '' }, 'workflow_id', 'must not have fewer than 1 characters'],
    ['a number for a workflow', { name: 'x', workflow_id: 7 }, 'workflow_id', 'must be either string or null'],
    ['NUL in the workflow', { name: 'x', workflow_id: 'a\0b' }, 'workflow_id', 'must not contain control characters'],
    [
      'half a surrogate pair in the workflow',
      { name: 'x', workflow_id: 'w\ud83d' },
      'workflow_id',
      'must not hold half a surrogate pair',
    ],
    [
      'a workflow of 4 KiB',
      { name: 'x', workflow_id: 'w'.repeat(4096) },
      'workflow_id',
      'must not have more than 1024 characters',
    ],
    ['an expiry in the past', { name: 'x', expires_at: '2029-12-31T23:59:59Z' }, 'expires_at', 'must be in the future'],
    [
      'an expiry that is in the year 10000 by UTC',
      { name: 'x', expires_at: '9999-12-31T23:59:59-00:01' },
      'expires_at',
      'must be before the year 10000',
    ],
    ['an expiry right now', { name: 'x', expires_at: '2030-01-01T00:00:00Z' }, 'expires_at', 'must be in the future'],
    [
      'a date for an expiry',
      { name: 'x', expires_at: '2031-01-01' },
      'expires_at',
      'must be a date and time as RFC 3339 has it',
    ],
    [
      'an expiry without an offset',
      { name: 'x', expires_at: '2031-01-01T00:00:00' },
      'expires_at',
      'must be a date and time as RFC 3339 has it',
    ],
    [
      'the 30th of February',
      { name: 'x', expires_at: '2031-02-30T00:00:00Z' },
      'expires_at',
      'must be a date and time as RFC 3339 has it',
    ],
    ['a field that is not known', { name: 'x', scope: 'all' }, 'scope', 'is not a known field'],
    ['the raw key as a field', { name: 'x', raw_key: 'nk_live_x' }, 'raw_key', 'is not a known field'],
  ])('refuses %s, names the field and changes nothing', async (_title, body, field, message) => {
    const response = await http.ada('POST', '/api/keys', body);

    expect(response.statusCode).toBe(422);
    expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(response.json()).toMatchObject({ type: 'urn:latchkey:problem:invalid', status: 422 });
    const { errors } = response.json();
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatchObject({ field, message });
    expect(await list()).toEqual([]);
  });

  it('names every field that is wrong at once', async () => {
    const { errors } = (await http.ada('POST', '/api/keys', { name: '', permissions: [], colour: 'red' })).json();
    expect(errors.map(({ pointer }: { pointer: string }) => pointer).sort()).toEqual([
      '/colour',
      '/name',
      '/permissions',
    ]);
  });

  it('does not repeat an unknown field whose name could be a secret', async () => {
    const secret = `nk_live_${'a'.repeat(64)}`;
    const response = await http.ada('POST', '/api/keys', { name: 'x', [secret]: 1 });
    expect(response.statusCode).toBe(422);
    expect(response.body).not.toContain(secret);
  });

  it.each(['workflow-payroll', 'no-such-workflow', "'; DROP TABLE api_keys; --", 'wоrkflow-nightly'])(
    'answers 404 for the workflow %j, which is not of the account',
    async (workflow_id) => {
      const response = await http.ada('POST', '/api/keys', { name: 'x', workflow_id });
      expect(response.statusCode).toBe(404);
      expect(response.json().type).toBe('urn:latchkey:problem:not-found');
      expect(await list()).toEqual([]);
    },
  );

  it('answers 409 when the account has as many active keys as it may have, until one is revoked', async () => {
    await http.app.close();
    http = await appUnderTest({ maxActiveKeys: 2 });
    const { id } = await create();
    await create();

    const response = await http.ada('POST', '/api/keys', { name: 'third' });
    expect(response.statusCode).toBe(409);
    expect(response.json().type).toBe('urn:latchkey:problem:limit-reached');

    await http.ada('DELETE', `/api/keys/${id}`);
    await create();
  });

  it('answers 429 with Retry-After to an account that makes keys too fast, and to no other', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    await http.app.close();
    http = await appUnderTest({ keyCreationsPerMinute: 2 });
    await create();
    const { id } = await create();
    // What is refused anyway does not count.
    await http.ada('POST', '/api/keys', { name: '' });

    for (const url of ['/api/keys', `/api/keys/${id}/rotate`]) {
      const response = await http.ada('POST', url, url === '/api/keys' ? { name: 'x' } : {});
      expect(response.statusCode).toBe(429);
      expect(response.json().type).toBe('urn:latchkey:problem:too-many-requests');
      expect(Number(response.headers['retry-after'])).toBeGreaterThan(0);
      expect(Number(response.headers['retry-after'])).toBeLessThanOrEqual(60);
    }
    const bob = await http.send({ method: 'POST', url: '/api/keys', headers: { cookie: BOB }, payload: { name: 'x' } });
    expect(bob.statusCode).toBe(201);

    vi.setSystemTime(Date.now() + 60_000);
    await create();
  });
});

describe('GET /api/keys', () => {
  it('lists the newest first, revoked ones included, without raw keys', async () => {
    const older = await create({ name: 'older' });
    const newer = await create({ name: 'newer' });
    await http.ada('DELETE', `/api/keys/${older.id}`);

    const keys = await list();
    expect(keys.map((key: { name: string }) => key.name)).toEqual(['newer', 'older']);
    const { raw_key: _rawKey, ...shown } = newer;
    expect(keys[0]).toEqual(shown);
    expect(keys[1].revoked_at).toBe('2030-01-01T00:00:00.000Z');
  });

  it('leaves revoked keys out with revoked=false, and only then', async () => {
    const { id } = await create({ name: 'gone' });
    await create({ name: 'kept' });
    await http.ada('DELETE', `/api/keys/${id}`);
    expect((await list('?revoked=false')).map((key: { name: string }) => key.name)).toEqual(['kept']);
    expect(await list('?revoked=true')).toHaveLength(2);
  });

  it('never shows keys of another account, nor of published apps', async () => {
    await create({ name: 'mine' });
    await http.send({ method: 'POST', url: '/api/keys', headers: { cookie: BOB }, payload: { name: 'his' } });
    await mintAppKey();
    expect((await list()).map((key: { name: string }) => key.name)).toEqual(['mine']);
  });

  it('leads through all pages by Link, with no key twice and none left out', async () => {
    for (let i = 0; i < 7; i++) await create({ name: `key ${i}` });
    const { id } = await create({ name: 'revoked' });
    await http.ada('DELETE', `/api/keys/${id}`);

    const seen: string[] = [];
    let url: string | undefined = '/api/keys?limit=3&revoked=false';
    while (url !== undefined) {
      const response = await http.ada('GET', url);
      expect(response.statusCode).toBe(200);
      seen.push(...response.json().map((key: { name: string }) => key.name));
      url = /^<([^>]+)>; rel="next"$/.exec(String(response.headers.link ?? ''))?.[1];
    }
    expect(seen).toEqual(['key 6', 'key 5', 'key 4', 'key 3', 'key 2', 'key 1', 'key 0']);
  });

  it('gives up to 1000 keys when no limit is said', async () => {
    await http.app.close();
    http = await appUnderTest({ maxActiveKeys: 2000, keyCreationsPerMinute: 5000 });
    for (let i = 0; i < 1001; i++) await create({ name: `key ${i}` });
    const response = await http.ada('GET', '/api/keys');
    expect(response.json()).toHaveLength(1000);
    expect(response.headers.link).toContain('limit=1000');
  });

  it.each([
    ['limit=0', 'limit'],
    ['limit=1001', 'limit'],
    ['limit=-1', 'limit'],
    ['limit=ten', 'limit'],
    ['limit=1.5', 'limit'],
    ['limit=', 'limit'],
    ['limit=5&limit=6', 'limit'],
    ['cursor=', 'cursor'],
    ['cursor=nonsense', 'cursor'],
    ["cursor=1'%3B--_3f0c2f1e-5d8a-4a53-9d43-0d4a6a0c7a11", 'cursor'],
    ['cursor=99999999999999999_3f0c2f1e-5d8a-4a53-9d43-0d4a6a0c7a11', 'cursor'],
    ['cursor=1_3f0c2f1e-5d8a-4a53-9d43-0d4a6a0c7a1', 'cursor'],
    ['cursor=%00', 'cursor'],
    ['revoked=no', 'revoked'],
    ['revoked=1', 'revoked'],
    ['revokd=false', 'revokd'],
  ])('answers 422 to %s', async (query, field) => {
    const response = await http.ada('GET', `/api/keys?${query}`);
    expect(response.statusCode).toBe(422);
    expect(response.json().errors).toMatchObject([{ field }]);
  });

  it('answers 304 while nothing changed, and the list again once something has', async () => {
    const { id } = await create();
    const first = await http.ada('GET', '/api/keys');
    expect(first.headers['cache-control']).toBe('private, no-cache');
    const conditional = () =>
      http.send({
        method: 'GET',
        url: '/api/keys',
        headers: { cookie: 'session=token-of-ada', 'if-none-match': String(first.headers.etag) },
      });

    const unchanged = await conditional();
    expect(unchanged.statusCode).toBe(304);
    expect(unchanged.body).toBe('');
    expect(unchanged.headers.etag).toBe(first.headers.etag);

    await http.ada('DELETE', `/api/keys/${id}`);
    expect((await conditional()).statusCode).toBe(200);
  });

  it('names the account by an opaque tag, on a 304 too, and confirms to no account the list of another', async () => {
    const listed = (cookie: string, etag = '') =>
      http.send({ method: 'GET', url: '/api/keys', headers: { cookie, 'if-none-match': etag } });
    const ada = await listed(ADA);
    const tag = String(ada.headers['latchkey-account']);
    expect(tag).toMatch(/^[A-Za-z0-9_-]{22}$/);
    const unchanged = await listed(ADA, String(ada.headers.etag));
    expect(unchanged.statusCode).toBe(304);
    expect(unchanged.headers['latchkey-account']).toBe(tag);
    // Two empty lists are the same text.
    const bob = await listed(BOB, String(ada.headers.etag));
    expect(bob.statusCode).toBe(200);
    expect(bob.body).toBe(ada.body);
    expect(bob.headers['latchkey-account']).not.toBe(tag);
  });
});

describe('DELETE /api/keys/{key_id}', () => {
  it('answers with the receipt, after the barrier', async () => {
    const { id } = await create();
    const response = await http.ada('DELETE', `/api/keys/${id}`);
    expect(response.statusCode).toBe(200);
    expect(response.json()).toEqual({
      success: true,
      receipt: {
        sequence: 41,
        committed_at: '2030-01-01T00:00:00.000Z',
        confirmed_in_ms: 4.25,
        sidecars: { acknowledged: 2, expired: 1 },
        slowest_ack_ms: 3.5,
      },
    });
    expect(http.barrier.confirmed).toBe(1);
  });

  it('waits for the barrier again, and answers 200 again, when the key was revoked before', async () => {
    const { id } = await create();
    await http.ada('DELETE', `/api/keys/${id}`);
    expect((await http.ada('DELETE', `/api/keys/${id}`)).statusCode).toBe(200);
    expect(http.barrier.confirmed).toBe(2);
  });

  it('takes an empty JSON body, as some clients send with a DELETE', async () => {
    const { id } = await create();
    const headers = { cookie: 'session=token-of-ada', 'content-type': 'application/json' };
    expect((await http.send({ method: 'DELETE', url: `/api/keys/${id}`, headers })).statusCode).toBe(200);
  });

  it("answers 404 for another account's key, and leaves it alone", async () => {
    const { id } = await create();
    const response = await http.send({ method: 'DELETE', url: `/api/keys/${id}`, headers: { cookie: BOB } });
    expect(response.statusCode).toBe(404);
    expect((await list())[0].revoked_at).toBeNull();
  });

  it('answers 404 for the key of a published app, and leaves it alone', async () => {
    const { keyId } = await mintAppKey();
    expect((await http.ada('DELETE', `/api/keys/${keyId}`)).statusCode).toBe(404);
    expect((await http.ada('POST', `/api/keys/${keyId}/rotate`)).statusCode).toBe(404);
    expect((await http.registry.revokeAppKeys('app-1', ACTOR)).revoked).toBe(1);
  });

  it.each(['1', 'not-a-uuid', '%00', "'%20OR%201=1", '..%2f..', 'a'.repeat(4096), '%zz', encodeURIComponent('ключ')])(
    'answers 404 for the id %s',
    async (id) => {
      for (const [method, url] of [
        ['DELETE', `/api/keys/${id}`],
        ['POST', `/api/keys/${id}/rotate`],
      ] as const) {
        const response = await http.ada(method, url);
        expect(response.statusCode).toBe(404);
        expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
      }
    },
  );

  it('answers 503 when it is not proven, says that it is committed, and confirms when repeated', async () => {
    const { id } = await create();
    http.barrier.failure = 'unconfirmed';
    const response = await http.ada('DELETE', `/api/keys/${id}`);
    expect(response.statusCode).toBe(503);
    expect(response.headers['retry-after']).toBe('1');
    expect(response.json()).toMatchObject({ type: 'urn:latchkey:problem:unconfirmed' });
    expect(response.json().detail).toMatch(/is committed.*Repeat the call/);
    expect((await list())[0].revoked_at).not.toBeNull();

    http.barrier.failure = null;
    expect((await http.ada('DELETE', `/api/keys/${id}`)).statusCode).toBe(200);
  });
});

describe('POST /api/keys/{key_id}/rotate', () => {
  it('without a body, gives a like key and proves that the old one is dead', async () => {
    const old = await create({ name: 'App', workflow_id: 'workflow-intake', permissions: ['read'] });
    const response = await http.ada('POST', `/api/keys/${old.id}/rotate`);
    expect(response.statusCode).toBe(201);
    expect(response.headers['cache-control']).toBe('no-store');
    const fresh = response.json();
    expect(fresh).toMatchObject({
      name: 'App',
      workflow_id: 'workflow-intake',
      permissions: ['read'],
      expires_at: null,
    });
    expect(fresh.raw_key).toMatch(/^nk_live_/);
    expect(fresh.raw_key).not.toBe(old.raw_key);
    expect(fresh.receipt).toMatchObject({ sequence: 41 });
    expect((await list()).find((key: { id: string }) => key.id === old.id).revoked_at).not.toBeNull();
  });

  it('with an overlap, lets the old key live on for that long', async () => {
    const old = await create();
    const fresh = (await http.ada('POST', `/api/keys/${old.id}/rotate`, { overlap_seconds: 604_800 })).json();
    expect(fresh.receipt).toBeNull();
    const listed = (await list()).find((key: { id: string }) => key.id === old.id);
    expect(listed).toMatchObject({ revoked_at: null, expires_at: '2030-01-08T00:00:00.000Z' });
  });

  it.each([-1, 604_801, 1.5, '60', true])('refuses an overlap of %j', async (overlap_seconds) => {
    const { id } = await create();
    const response = await http.ada('POST', `/api/keys/${id}/rotate`, { overlap_seconds });
    expect(response.statusCode).toBe(422);
    expect(response.json().errors).toMatchObject([{ field: 'overlap_seconds' }]);
    expect(await list()).toHaveLength(1);
  });

  it('answers 409 for a key that is revoked already, and 404 for a stranger', async () => {
    const { id } = await create();
    const bob = await http.send({ method: 'POST', url: `/api/keys/${id}/rotate`, headers: { cookie: BOB } });
    expect(bob.statusCode).toBe(404);
    await http.ada('DELETE', `/api/keys/${id}`);
    expect((await http.ada('POST', `/api/keys/${id}/rotate`)).statusCode).toBe(409);
  });

  it('never shows the new key when the death of the old one is not proven', async () => {
    const { id } = await create();
    http.barrier.failure = 'unconfirmed';
    const response = await http.ada('POST', `/api/keys/${id}/rotate`);
    expect(response.statusCode).toBe(503);
    expect(response.body).not.toContain('nk_live_');
    expect(response.json().detail).toMatch(/is committed/);
  });
});

describe('GET /api/workflows', () => {
  it("lists the account's own workflows by name", async () => {
    expect((await http.ada('GET', '/api/workflows')).json()).toEqual([
      { id: 'workflow-intake', name: 'Lead intake' },
      { id: 'workflow-nightly', name: 'Nightly report' },
    ]);
  });
});

const ACTOR = { name: 'service:publishing', origin: null };

function mintAppKey() {
  return http.registry.mintAppKey(
    {
      accountId: 'ada',
      name: 'App 1',
      keyHash: hashRawKey('app key'),
      keyPrefix: 'nk_live_aaaa',
      workflowId: null,
      permissions: Permission.READ,
      expiresAtMs: null,
    },
    'app-1',
    0,
    ACTOR,
  );
}
