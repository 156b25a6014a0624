import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ServerSpan, Tracing } from '../../ports/tracing.js';
import { COUNTED_METHODS, routeTemplate } from './access-log.js';

/**
 * A span for every request, named by the route's template: a path or a query may hold anything, a secret too. Register it
 * before whatever should log under the span.
 */
export function traceRequests(app: FastifyInstance, tracing: Tracing): void {
  const spans = new WeakMap<FastifyRequest, ServerSpan>();
  app.addHook('onRequest', (request, _reply, done) => {
    const method = COUNTED_METHODS.has(request.method) ? request.method : '_OTHER';
    const route = routeTemplate(request);
    const span = tracing.serverSpan(`${method} ${route}`, (name) => headerOf(request, name), {
      'http.request.method': method,
      'http.route': route,
      'url.scheme': request.protocol,
    });
    spans.set(request, span);
    span.run(done);
  });
  app.addHook('onResponse', async (request, reply) => {
    spans.get(request)?.end({ 'http.response.status_code': reply.statusCode }, reply.statusCode >= 500);
  });
  // The client went away: no answer is sent.
  app.addHook('onRequestAbort', async (request) => {
    spans.get(request)?.end({}, false);
  });
}

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? undefined : value;
}
