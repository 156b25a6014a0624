import type { FastifyRequest } from 'fastify';
import { RAW_KEY_PREFIX } from '../../domain/raw-key.js';
import type { Sessions } from '../../ports/sessions.js';
import { HttpProblem } from './problem.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** The account of the verified session; `''` where none was asked for. */
    accountId: string;
  }
}

/**
 * Lets a request pass only with a valid browser session, and notes its account on the request.
 *
 * An API key is never enough: a leaked one must not be able to make itself successors. Throws an {@link HttpProblem}
 * `unauthenticated` (401), and the `Failure` of the sessions when they could not be checked.
 */
export function requireSession(sessions: Sessions): (request: FastifyRequest) => Promise<void> {
  return async (request) => {
    const session = await sessions.authenticate(request.headers.cookie);
    if (session === null) {
      throw new HttpProblem('unauthenticated', carriesApiKey(request) ? NOT_WITH_A_KEY : NO_SESSION, {
        headers: { 'www-authenticate': 'Cookie realm="Latchkey"' },
      });
    }
    request.accountId = session.accountId;
  };
}

const NO_SESSION = 'The request carries no valid session of the platform. Sign in and try again.';
const NOT_WITH_A_KEY = 'An API key cannot manage keys. Sign in and use the session cookie of the platform.';

function carriesApiKey({ headers }: FastifyRequest): boolean {
  return (
    headers['x-api-key'] !== undefined ||
    (headers.authorization?.replace(/^Bearer +/i, '').startsWith(RAW_KEY_PREFIX) ?? false)
  );
}
