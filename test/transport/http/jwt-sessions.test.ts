import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { SessionConfig } from '../../../src/config.js';
import { createSessions } from '../../../src/transport/http/sessions/create-sessions.js';
import { FakeClock } from '../../support/fakes/fake-clock.js';

const ISSUER = 'https://auth.example';
const AUDIENCE = 'authenticated';
const SECRET = 'a secret of thirty-two characters';
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const otherRsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const rsaPem = rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString();

const clock = new FakeClock();
const nowSeconds = clock.wallMs() / 1000;
const source = { accountOf: async () => null };

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'latchkey-jwt-'));
  await writeFile(join(directory, 'rsa.pem'), rsaPem);
});

afterAll(() => rm(directory, { recursive: true }));

type JwtKey = Extract<SessionConfig, { mode: 'jwt' }>['key'];

function sessionsWith(key: JwtKey, cookie = 'session') {
  return createSessions(
    { mode: 'jwt', cookie, issuer: ISSUER, audience: AUDIENCE, clockToleranceSeconds: 30, key },
    { clock, source },
  );
}

const withPublicKey = () => sessionsWith({ kind: 'public-key', file: join(directory, 'rsa.pem'), algorithm: 'RS256' });
const withSecret = () => sessionsWith({ kind: 'hs256', secret: SECRET });

const CLAIMS: JWTPayload = { sub: 'ada', iss: ISSUER, aud: AUDIENCE, exp: nowSeconds + 3600, iat: nowSeconds };

function sign(claims: JWTPayload, key: KeyObject | Uint8Array, alg: string, kid?: string): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg, typ: 'JWT', ...(kid === undefined ? {} : { kid }) }).sign(key);
}

const bytes = (text: string) => new TextEncoder().encode(text);
const signedByRsa = (claims: Partial<JWTPayload> = {}) => sign({ ...CLAIMS, ...claims }, rsa.privateKey, 'RS256');
const without = (claim: keyof JWTPayload) => {
  const { [claim]: _left, ...rest } = CLAIMS;
  return rest;
};

describe('a JWT session', () => {
  it('is accepted when signed by the private half of the public key', async () => {
    const sessions = await withPublicKey();
    expect(await sessions.authenticate(`session=${await signedByRsa()}`)).toEqual({ accountId: 'ada' });
  });

  it('is accepted when signed with the HS256 secret', async () => {
    const token = await sign(CLAIMS, bytes(SECRET), 'HS256');
    expect(await (await withSecret()).authenticate(`session=${token}`)).toEqual({ accountId: 'ada' });
  });

  it('is accepted when one of several audiences is ours', async () => {
    const token = await signedByRsa({ aud: ['other', AUDIENCE] });
    expect(await (await withPublicKey()).authenticate(`session=${token}`)).toEqual({ accountId: 'ada' });
  });

  it.each([
    ['expired within the tolerance', { exp: nowSeconds - 29 }],
    ['valid from a moment within the tolerance', { nbf: nowSeconds + 29 }],
  ])('is accepted when %s', async (_title, claims) => {
    const token = await signedByRsa(claims);
    expect(await (await withPublicKey()).authenticate(`session=${token}`)).toEqual({ accountId: 'ada' });
  });

  const forged: readonly (readonly [string, () => Promise<string> | string])[] = [
    ['expired', () => signedByRsa({ exp: nowSeconds - 31 })],
    ['not valid yet', () => signedByRsa({ nbf: nowSeconds + 31 })],
    ['for another audience', () => signedByRsa({ aud: 'anon' })],
    ['for no audience', () => sign(without('aud'), rsa.privateKey, 'RS256')],
    ['of another issuer', () => signedByRsa({ iss: 'https://evil.example' })],
    ['of no issuer', () => sign(without('iss'), rsa.privateKey, 'RS256')],
    ['without an end', () => sign(without('exp'), rsa.privateKey, 'RS256')],
    ['of nobody', () => sign(without('sub'), rsa.privateKey, 'RS256')],
    ['of an empty subject', () => signedByRsa({ sub: '' })],
    ['of a subject with a line break', () => signedByRsa({ sub: 'ada\nadmin' })],
    ['of a subject that is a number', () => signedByRsa({ sub: 7 } as never)],
    ['signed by another key', () => sign(CLAIMS, otherRsa.privateKey, 'RS256')],
    ['signed by another key of another kind', () => sign(CLAIMS, ec.privateKey, 'ES256')],
    ['signed by the right key with another algorithm', () => sign(CLAIMS, rsa.privateKey, 'PS256')],
    ['signed as HS256 with the public key for a secret', () => sign(CLAIMS, bytes(rsaPem), 'HS256')],
    ['unsigned, alg none', () => new UnsecuredJWT(CLAIMS).encode()],
    ['of alg none in other letters', async () => altered(await signedByRsa(), 0, { alg: 'nOnE' })],
    ['stripped of its signature', async () => (await signedByRsa()).replace(/[^.]*$/, '')],
    ['changed after it was signed', async () => altered(await signedByRsa(), 1, { ...CLAIMS, sub: 'bob' })],
    ['truncated', async () => (await signedByRsa()).slice(0, -10)],
    ['truncated in its claims', async () => (await signedByRsa()).slice(0, 100)],
    ['oversized', () => signedByRsa({ padding: 'x'.repeat(20_000) })],
    ['in five parts', () => 'a.b.c.d.e'],
    ['no token at all', () => 'ada'],
    ['empty', () => ''],
    [
      'with a critical extension that nobody knows',
      async () => altered(await signedByRsa(), 0, { alg: 'RS256', crit: ['x'], x: 1 }),
    ],
  ];

  it.each(forged)('is refused when it is %s', async (_title, make) => {
    const token = await make();
    expect(await (await withPublicKey()).authenticate(`session=${token}`)).toBeNull();
  });

  it.each([
    ['signed with another secret', () => sign(CLAIMS, bytes(`${SECRET}!`), 'HS256')],
    ['signed with the secret as HS512', () => sign(CLAIMS, bytes(SECRET.repeat(2)), 'HS512')],
    ['unsigned, alg none', () => new UnsecuredJWT(CLAIMS).encode()],
    ['signed by somebody’s RSA key', () => signedByRsa()],
  ] as const)('is refused with a secret when it is %s', async (_title, make) => {
    expect(await (await withSecret()).authenticate(`session=${await make()}`)).toBeNull();
  });

  it('is refused when there are two of the cookie, even if both are good', async () => {
    const token = await signedByRsa();
    expect(await (await withPublicKey()).authenticate(`session=${token}; session=${token}`)).toBeNull();
  });

  it('cannot be set up with a file that is no public key, nor with an algorithm of secrets', async () => {
    const file = join(directory, 'not.pem');
    await writeFile(file, 'not a key');
    await expect(sessionsWith({ kind: 'public-key', file, algorithm: 'RS256' })).rejects.toThrow('no PEM public key');
    await expect(
      sessionsWith({ kind: 'public-key', file: join(directory, 'rsa.pem'), algorithm: 'HS256' }),
    ).rejects.toThrow('not an algorithm of public keys');
  });
});

describe('the cookie of Supabase', () => {
  const COOKIE = 'sb-abcdefghijklm-auth-token';
  const stored = async () => ({ access_token: await signedByRsa(), refresh_token: 'r', user: { name: 'Ada “ü” 🗝' } });
  const base64 = (value: unknown) => `base64-${Buffer.from(JSON.stringify(value)).toString('base64url')}`;
  const percent = (value: unknown) => encodeURIComponent(JSON.stringify(value));
  const chunks = (value: string, size: number) =>
    Array.from({ length: Math.ceil(value.length / size) }, (_, i) => value.slice(i * size, (i + 1) * size));
  const chunked = (value: string, size = 300) => chunks(value, size).map((part, i) => `${COOKIE}.${i}=${part}`);

  const forms: readonly (readonly [string, () => Promise<string>])[] = [
    ['the token itself', async () => `${COOKIE}=${await signedByRsa()}`],
    ['base64 of an object', async () => `${COOKIE}=${base64(await stored())}`],
    ['base64 of an array', async () => `${COOKIE}=${base64([await signedByRsa(), 'r', null, null, null])}`],
    ['percent-encoded JSON', async () => `${COOKIE}=${percent(await stored())}`],
    ['a percent-encoded array', async () => `${COOKIE}=${percent([await signedByRsa(), 'r'])}`],
    ['a percent-encoded string', async () => `${COOKIE}=${percent(await signedByRsa())}`],
    ['base64 in chunks', async () => chunked(base64(await stored())).join('; ')],
    [
      'base64 in chunks that come in another order',
      async () =>
        chunked(base64(await stored()))
          .reverse()
          .join('; '),
    ],
    ['base64 in twelve chunks', async () => chunked(base64(await stored()), 100).join('; ')],
    ['base64 in one chunk', async () => `${COOKIE}.0=${base64(await stored())}`],
    [
      'percent-encoded JSON in chunks',
      async () =>
        chunks(JSON.stringify(await stored()), 300)
          .map((part, i) => `${COOKIE}.${i}=${encodeURIComponent(part)}`)
          .join('; '),
    ],
  ];

  it.each(forms)('is read when it holds %s, under its own name or the configured one', async (_title, make) => {
    const cookies = `theme=dark; ${await make()}; lang=en`;
    const key = { kind: 'public-key', file: join(directory, 'rsa.pem'), algorithm: 'RS256' } as const;
    expect(await (await sessionsWith(key)).authenticate(cookies)).toEqual({ accountId: 'ada' });
    expect(await (await sessionsWith(key, COOKIE)).authenticate(cookies)).toEqual({ accountId: 'ada' });
  });

  it.each([
    ['a chunk is missing', async () => chunked(base64(await stored())).filter((_, i) => i !== 1)],
    ['the first chunk is missing', async () => chunked(base64(await stored())).slice(1)],
    ['a chunk is there twice', async () => [...chunked(base64(await stored())), `${COOKIE}.1=x`]],
    ['its base64 is cut', async () => [`${COOKIE}=${base64(await stored()).slice(0, -20)}`]],
    ['its percent-encoding is cut', async () => [`${COOKIE}=${percent(await stored())}%E2%8`]],
    ['it holds no token', async () => [`${COOKIE}=${base64({ refresh_token: await signedByRsa() })}`]],
    ['it holds an empty array', async () => [`${COOKIE}=${base64([])}`]],
    ['it holds null', async () => [`${COOKIE}=${base64(null)}`]],
    ['it holds a number', async () => [`${COOKIE}=${base64({ access_token: 1 })}`]],
    [
      'two projects have one each',
      async () => [`${COOKIE}=${await signedByRsa()}`, `sb-other-auth-token=${await signedByRsa()}`],
    ],
    ['the configured cookie is there and bad', async () => ['session=bad', `${COOKIE}=${await signedByRsa()}`]],
    ['it is in too many chunks', async () => chunked(base64(await stored()), 20)],
  ])('is refused when %s', async (_title, make) => {
    expect(await (await withPublicKey()).authenticate((await make()).join('; '))).toBeNull();
  });
});

describe('a key set', () => {
  let server: Server | null = null;
  let keys: object[] = [];
  let answer: (() => { status: number; body: string }) | null = null;
  let asked = 0;

  afterEach(async () => {
    vi.useRealTimers();
    answer = null;
    asked = 0;
    server?.closeAllConnections();
    await new Promise((resolve) => server?.close(resolve) ?? resolve(undefined));
    server = null;
  });

  async function serve(): Promise<string> {
    server = createServer((_request, response) => {
      asked++;
      const { status, body } = answer?.() ?? { status: 200, body: JSON.stringify({ keys }) };
      response.writeHead(status, { 'content-type': 'application/json' }).end(body);
    });
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
  }

  const jwk = async (key: KeyObject, kid: string, alg: string) => ({ ...(await exportJWK(key)), kid, alg, use: 'sig' });
  const start = async () => sessionsWith({ kind: 'jwks', url: await serve() });

  it('verifies tokens of each of its keys, and is fetched once for them', async () => {
    keys = [await jwk(rsa.publicKey, 'a', 'RS256'), await jwk(ec.publicKey, 'b', 'ES256')];
    const sessions = await start();
    for (const token of [
      await sign(CLAIMS, rsa.privateKey, 'RS256', 'a'),
      await sign(CLAIMS, ec.privateKey, 'ES256', 'b'),
      await sign(CLAIMS, rsa.privateKey, 'RS256', 'a'),
    ]) {
      expect(await sessions.authenticate(`session=${token}`)).toEqual({ accountId: 'ada' });
    }
    expect(asked).toBe(1);
  });

  it('tries each key that fits a token without a key id', async () => {
    keys = [await jwk(otherRsa.publicKey, 'a', 'RS256'), await jwk(rsa.publicKey, 'b', 'RS256')];
    const sessions = await start();
    expect(await sessions.authenticate(`session=${await signedByRsa()}`)).toEqual({ accountId: 'ada' });
    const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const token = await sign(CLAIMS, stranger.privateKey, 'RS256');
    expect(await sessions.authenticate(`session=${token}`)).toBeNull();
    expect(await sessions.authenticate(`session=${await signedByRsa({ exp: nowSeconds - 100 })}`)).toBeNull();
  });

  it('never verifies with a secret, even one that it holds', async () => {
    keys = [{ kty: 'oct', k: Buffer.from(SECRET).toString('base64url'), kid: 'a', alg: 'HS256' }];
    const token = await sign(CLAIMS, bytes(SECRET), 'HS256', 'a');
    expect(await (await start()).authenticate(`session=${token}`)).toBeNull();
  });

  it('refuses a key id that it does not have, without asking for each such token', async () => {
    keys = [await jwk(rsa.publicKey, 'a', 'RS256')];
    const sessions = await start();
    for (let i = 0; i < 20; i++) {
      const token = await sign(CLAIMS, otherRsa.privateKey, 'RS256', `unknown-${i}`);
      expect(await sessions.authenticate(`session=${token}`)).toBeNull();
    }
    expect(asked).toBeLessThanOrEqual(2);
  });

  it('learns of a new key when a token names it, once half a minute has passed since it last asked', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    keys = [await jwk(otherRsa.publicKey, 'old', 'RS256')];
    const sessions = await start();
    const before = await sign(CLAIMS, otherRsa.privateKey, 'RS256', 'old');
    expect(await sessions.authenticate(`session=${before}`)).toEqual({ accountId: 'ada' });

    keys = [await jwk(rsa.publicKey, 'new', 'RS256')];
    vi.setSystemTime(Date.now() + 31_000);
    const after = await sign(CLAIMS, rsa.privateKey, 'RS256', 'new');
    expect(await sessions.authenticate(`session=${after}`)).toEqual({ accountId: 'ada' });
    expect(await sessions.authenticate(`session=${before}`)).toBeNull();
  });

  it('whose server takes the call and never answers is given up', async () => {
    const sessions = await start();
    server?.removeAllListeners('request').on('request', () => {});
    await expect(sessions.authenticate(`session=${await signedByRsa()}`)).rejects.toMatchObject({
      kind: 'unavailable',
    });
  });

  it.each([
    ['answers 500', { status: 500, body: 'no' }],
    ['answers no JSON', { status: 200, body: 'no' }],
    ['answers no key set', { status: 200, body: '{}' }],
  ])('whose server %s leaves the session unknown: unavailable, not refused', async (_title, reply) => {
    answer = () => reply;
    const sessions = await start();
    await expect(sessions.authenticate(`session=${await signedByRsa()}`)).rejects.toMatchObject({
      kind: 'unavailable',
    });
  });

  it('whose server is out of reach leaves the session unknown', async () => {
    const sessions = await start();
    server?.close();
    await expect(sessions.authenticate(`session=${await signedByRsa()}`)).rejects.toMatchObject({
      kind: 'unavailable',
    });
  });
});

function altered(token: string, part: 0 | 1, content: object): string {
  const parts = token.split('.');
  parts[part] = Buffer.from(JSON.stringify(content)).toString('base64url');
  return parts.join('.');
}
