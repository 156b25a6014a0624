import type { FastifyReply } from 'fastify';

/**
 * Sets headers that every answer has unless its handler says otherwise: no sniffing, no framing, no caching, no
 * loading by another site, and a policy under which a browser that shows the answer runs nothing in it.
 */
export function setSecurityHeaders(reply: FastifyReply): void {
  reply.headers({
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
  });
}
