import fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { settingsPage } from '../../src/transport/http/settings/settings-page.js';

const ASSETS = new Map([
  ['page.html', '<meta content="{{exampleUrl}}"><script src="developer/assets/settings.abc.js"></script>'],
  ['settings.abc.js', 'run();'],
  ['settings.abc.css', 'p{}'],
  ['icon.abc.svg', '<svg/>'],
]);

describe('the settings page over HTTP', () => {
  let app: FastifyInstance;

  beforeEach(() => {
    app = fastify();
  });
  afterEach(() => app.close());

  it('is sent with a policy that allows its own files and nothing else', async () => {
    await app.register(settingsPage, { assets: ASSETS });
    const { statusCode, headers } = await app.inject('/settings/developer');
    expect(statusCode).toBe(200);
    expect(headers['content-type']).toBe('text/html; charset=utf-8');
    const policy = String(headers['content-security-policy']).split('; ');
    expect(policy).toEqual([
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self'",
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ]);
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'same-origin',
      'cache-control': 'no-cache',
    });
  });

  it.each([
    ['settings.abc.js', 'text/javascript; charset=utf-8'],
    ['settings.abc.css', 'text/css; charset=utf-8'],
    ['icon.abc.svg', 'image/svg+xml; charset=utf-8'],
  ])('sends %s as %s, to be kept for ever', async (name, type) => {
    await app.register(settingsPage, { assets: ASSETS });
    const { body, headers } = await app.inject(`/settings/developer/assets/${name}`);
    expect(body).toBe(ASSETS.get(name));
    expect(headers).toMatchObject({
      'content-type': type,
      'cache-control': 'public, max-age=31536000, immutable',
      'x-content-type-options': 'nosniff',
    });
  });

  it.each(['page.html', 'settings.js', '..%2fsettings-page.js', '%2e%2e%2f%2e%2e%2fapp.js', '__proto__'])(
    'has no asset %s',
    async (name) => {
      await app.register(settingsPage, { assets: ASSETS });
      expect((await app.inject(`/settings/developer/assets/${name}`)).statusCode).toBe(404);
    },
  );

  it('is not sent again to a browser that has it', async () => {
    await app.register(settingsPage, { assets: ASSETS });
    const { headers } = await app.inject('/settings/developer');
    const again = await app.inject({ url: '/settings/developer', headers: { 'if-none-match': String(headers.etag) } });
    expect(again.statusCode).toBe(304);
    expect(again.body).toBe('');
  });

  it.each([
    ['/settings/developer/', '../developer'],
    ['/settings', 'settings/developer'],
  ])('is found from %s too, under whatever path a proxy serves it', async (url, location) => {
    await app.register(settingsPage, { assets: ASSETS });
    const { headers } = await app.inject(url);
    expect(headers.location).toBe(location);
    expect(new URL(location, `https://proxy.example/prefix${url}`).pathname).toBe('/prefix/settings/developer');
  });

  it('turns the example address into text, not into markup', async () => {
    await app.register(settingsPage, { assets: ASSETS, exampleUrl: 'https://x/"><script>$&' });
    expect((await app.inject('/settings/developer')).body).toContain(
      '<meta content="https://x/&#34;&#62;&#60;script&#62;$&#38;">',
    );
  });

  it('refuses to start without its page', async () => {
    await expect(app.register(settingsPage, { assets: new Map() })).rejects.toThrow('has not been built');
  });

  it('is bundled from source with no script, style or address of another host in it', async () => {
    await app.register(settingsPage);
    const page = (await app.inject('/settings/developer')).body;
    const addresses = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address]) => address ?? '');
    expect(addresses).toHaveLength(3);
    for (const address of addresses) {
      expect(address).toMatch(/^developer\/assets\/\w+\.[0-9a-f]{12}\.(js|css|svg)$/);
      expect((await app.inject(`/settings/${address}`)).statusCode).toBe(200);
    }
    expect(page).not.toMatch(/<style|style=|<script>|onclick=|\{\{/);
    const script = addresses.find((address) => address.endsWith('.js'));
    const { body } = await app.inject(`/settings/${script}`);
    expect(body).not.toMatch(/innerHTML|insertAdjacentHTML|document\.write|localStorage|sessionStorage|eval\(/);
    expect(body.match(/https?:\/\/[^"'`]+/g)).toEqual(['http://www.w3.org/2000/svg']);
  });
});
