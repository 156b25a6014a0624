import type { FastifyRequest } from 'fastify';
import { HttpProblem } from './problem.js';

const LOOPBACK_HOST = /^(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i;

/**
 * Refuses a request for any host name but a loopback one; used where a session needs no secret.
 *
 * A page on the web can have its own name resolve to 127.0.0.1 and then counts as same-origin with what listens there
 * (DNS rebinding). It cannot change the `Host` that its requests carry. Throws an {@link HttpProblem} (421).
 */
export function requireLoopbackHost(request: FastifyRequest): void {
  // Over a unix socket there may be no Host; a browser always sends one.
  const { host } = request.headers;
  if (host === undefined || host === '' || LOOPBACK_HOST.test(host)) return;
  throw new HttpProblem('misdirected', 'Development sessions are served under localhost and loopback addresses only.');
}
