import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Clock } from '../../ports/clock.js';
import type { Logger } from '../../ports/logger.js';
import type { Metrics } from '../../ports/metrics.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** When the request reached its first hook, on the monotonic clock. */
    arrivedAtMs: number;
  }
}

/** What {@link observeRequests} reports to. */
export interface Observers {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Methods that are named; any other is a client's invention. */
export const COUNTED_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/**
 * Logs and counts every answer. Addresses are named by their route's template: a path or a query may hold anything,
 * a secret too, and would grow without bound as a label.
 */
export function observeRequests(app: FastifyInstance, { clock, logger, metrics }: Observers): void {
  app.decorateRequest('arrivedAtMs', 0);
  app.addHook('onRequest', async (request) => {
    request.arrivedAtMs = clock.monotonicMs();
  });
  app.addHook('onResponse', async (request, reply) => {
    const ms = clock.monotonicMs() - request.arrivedAtMs;
    const method = COUNTED_METHODS.has(request.method) ? request.method : 'other';
    const route = routeTemplate(request);
    metrics.httpRequest(method, route, reply.statusCode, ms / 1000);
    // The calls of a gateway and a page's files would drown what people do.
    const log = route.startsWith('/api/') ? logger.info : logger.debug;
    log.call(logger, 'http request', {
      requestId: request.id,
      method,
      route,
      status: reply.statusCode,
      ms: Math.round(ms * 1000) / 1000,
      ...(request.accountId === '' ? {} : { accountId: request.accountId }),
    });
  });
}

/** The template of the route that a request was for. */
export function routeTemplate(request: FastifyRequest): string {
  return request.is404 ? 'none' : (request.routeOptions.url ?? 'none');
}
