import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AppUnderTest, appUnderTest } from './app-under-test.js';

let http: AppUnderTest;

beforeEach(async () => {
  http = await appUnderTest({ session: { mode: 'dev' } });
});

afterEach(async () => {
  await http.app.close();
});

const workflowsAs = (headers: Record<string, string>) => http.send({ method: 'GET', url: '/api/workflows', headers });

describe('development mode', () => {
  it('starts a session at /dev/login and goes to the settings page', async () => {
    const response = await http.send({ method: 'GET', url: '/dev/login?account=ada' });
    expect(response.statusCode).toBe(303);
    expect(response.headers.location).toBe('/settings/developer');
    expect(response.headers['set-cookie']).toBe('latchkey_dev_session=ada; Path=/; HttpOnly; SameSite=Strict');
    const answer = await workflowsAs({ cookie: 'latchkey_dev_session=ada' });
    expect(answer.json()).toHaveLength(2);
  });

  it.each([
    ['', 'dev'],
    ['?account=4711', '4711'],
  ])('takes /dev/login%s for the account %s', async (query, account) => {
    const response = await http.send({ method: 'GET', url: `/dev/login${query}` });
    expect(response.headers['set-cookie']).toContain(`latchkey_dev_session=${account};`);
  });

  it.each(['', 'a%20b', 'a%0d%0aset-cookie:x=y', 'a;b', '%3Cscript%3E', 'a'.repeat(65), '..%2f', 'ада', 'a&account=b'])(
    'refuses the account %j with 422, and sets no cookie',
    async (account) => {
      const response = await http.send({ method: 'GET', url: `/dev/login?account=${account}` });
      expect(response.statusCode).toBe(422);
      expect(response.headers['set-cookie']).toBeUndefined();
    },
  );

  it.each([
    'latchkey_dev_session=a b',
    'latchkey_dev_session=',
    'latchkey_dev_session=a; latchkey_dev_session=b',
    'session=ada',
  ])('answers 401 to the cookie %j', async (cookie) => {
    expect((await workflowsAs({ cookie })).statusCode).toBe(401);
  });

  it.each(['localhost:8080', '127.0.0.1:8080', '127.8.8.8', '[::1]:8080', 'latchkey.localhost'])(
    'serves under the host %s',
    async (host) => {
      expect((await workflowsAs({ host, cookie: 'latchkey_dev_session=ada' })).statusCode).toBe(200);
      expect((await http.send({ method: 'GET', url: '/dev/login', headers: { host } })).statusCode).toBe(303);
    },
  );

  // A page whose own name was made to resolve to 127.0.0.1 counts as same-origin here, and can set the cookie itself.
  it.each([
    'evil.example',
    'evil.example:8080',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '10.0.0.1',
    'notlocalhost',
  ])('answers 421 under the host %s, whatever the cookie', async (host) => {
    expect((await workflowsAs({ host, cookie: 'latchkey_dev_session=ada' })).statusCode).toBe(421);
    const login = await http.send({ method: 'GET', url: '/dev/login', headers: { host } });
    expect(login.statusCode).toBe(421);
    expect(login.headers['set-cookie']).toBeUndefined();
  });

  it('has no login in any other mode', async () => {
    const table = await appUnderTest();
    expect((await table.send({ method: 'GET', url: '/dev/login' })).statusCode).toBe(404);
    expect(
      (await table.send({ method: 'GET', url: '/api/keys', headers: { cookie: 'latchkey_dev_session=ada' } }))
        .statusCode,
    ).toBe(401);
    await table.app.close();
  });
});
