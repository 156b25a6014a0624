import { createHash } from 'node:crypto';
import { extname } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { loadPageAssets, type PageAssets } from './page-assets.js';

/** Settings of the page. */
export interface SettingsPageOptions {
  /**
   * Address that the quick start calls; `{workflow_id}` stands for a workflow. Default: an address under
   * `api.example.com`, which the reader replaces.
   */
  readonly exampleUrl?: string;
  /** The built page. Default: what lies beside this file, or a bundle of the sources. */
  readonly assets?: PageAssets;
}

const DEFAULT_EXAMPLE_URL = 'https://api.example.com/workflows/{workflow_id}/nodes';

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml; charset=utf-8',
};

/**
 * What the page may do: run its own script, use its own style, show its own icon and call its own origin. It sends no
 * forms, is framed by nobody, and turns no text into script.
 */
const PAGE_POLICY = [
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
].join('; ');

/** Browser features that a page which holds a raw key does without. */
const PERMISSIONS_POLICY =
  'camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-read=(), clipboard-write=(self)';

interface Served {
  readonly body: string;
  readonly etag: string;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Serves the Developer settings page: a fastify plugin with `GET /settings/developer` and its assets below it.
 *
 * The page is the same for everybody and holds nothing of an account: it is served without a session, and all it shows
 * comes from the REST calls, which demand one. Everything is in memory before the first request; rejects at start when
 * the page was not built.
 */
export async function settingsPage(app: FastifyInstance, options: SettingsPageOptions = {}): Promise<void> {
  const assets = options.assets ?? (await loadPageAssets());
  const template = assets.get('page.html');
  if (template === undefined) throw new Error('the settings page has not been built: page.html is missing');
  const html = template.replace('{{exampleUrl}}', () => escapeAttribute(options.exampleUrl ?? DEFAULT_EXAMPLE_URL));
  const page = served('page.html', html, {
    'cache-control': 'no-cache',
    'content-security-policy': PAGE_POLICY,
    'cross-origin-opener-policy': 'same-origin',
    'permissions-policy': PERMISSIONS_POLICY,
  });
  const files = new Map<string, Served>();
  for (const [name, text] of assets) {
    // The name changes with the content, so a copy is good for ever.
    if (name !== 'page.html')
      files.set(name, served(name, text, { 'cache-control': 'public, max-age=31536000, immutable' }));
  }

  // Documents of their own to a person, not part of the described API.
  const schema = { hide: true };
  app.get('/settings/developer', { schema }, (request, reply) => send(request, reply, page));
  // The page's relative addresses need it without the slash.
  app.get('/settings/developer/', { schema }, (_request, reply) => reply.redirect('../developer', 308));
  app.get('/settings', { schema }, (_request, reply) => reply.redirect('settings/developer', 302));
  app.get<{ Params: { name: string } }>('/settings/developer/assets/:name', { schema }, (request, reply) => {
    const file = files.get(request.params.name);
    return file === undefined ? reply.callNotFound() : send(request, reply, file);
  });
}

function served(name: string, body: string, headers: Readonly<Record<string, string>>): Served {
  return {
    body,
    etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`,
    headers: {
      'content-type': CONTENT_TYPES[extname(name)] ?? 'application/octet-stream',
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'same-origin',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      ...headers,
    },
  };
}

function send(request: FastifyRequest, reply: FastifyReply, { body, etag, headers }: Served): FastifyReply {
  reply.headers({ ...headers, etag });
  if (request.headers['if-none-match'] === etag) return reply.code(304).send();
  return reply.send(body);
}

function escapeAttribute(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
