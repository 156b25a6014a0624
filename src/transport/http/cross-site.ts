import type { FastifyRequest } from 'fastify';
import { HttpProblem } from './problem.js';

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Refuses a write that a browser sends for a page of another site, where the session cookie would go along unasked.
 *
 * A browser says where a write comes from in `Origin`, and every current one in `Sec-Fetch-Site` too; pages can forge
 * neither. Each that is present must name this very origin or one on the list. A client that sends neither is no
 * browser (curl, a server) and got its cookie by other means. "This origin" is judged by the host and port in `Host`,
 * not by the scheme, which a proxy in front may have ended; a change of scheme alone makes `Sec-Fetch-Site` cross-site.
 *
 * Throws an {@link HttpProblem} `cross-site` (403).
 */
export function refuseCrossSiteWrites(allowedOrigins: ReadonlySet<string>): (request: FastifyRequest) => void {
  return (request) => {
    if (SAFE_METHODS.has(request.method)) return;
    const { origin, 'sec-fetch-site': site, host } = request.headers;
    if (origin !== undefined && allowedOrigins.has(origin)) return;
    const originIsOwn = origin === undefined || (host !== undefined && hostOf(origin) === host.toLowerCase());
    // `none`: the person's own doing, such as sending a form again from history.
    const siteIsOwn = site === undefined || site === 'same-origin' || site === 'none';
    if (originIsOwn && siteIsOwn) return;
    throw new HttpProblem(
      'cross-site',
      'Changes are accepted from pages of this origin, or of one listed in LATCHKEY_ALLOWED_ORIGINS, only.',
    );
  };
}

function hostOf(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).host : null;
}
