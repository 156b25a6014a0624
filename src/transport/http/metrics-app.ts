import type { Server, ServerOptions as TlsServerOptions } from 'node:https';
import type { TLSSocket } from 'node:tls';
import fastify, { type FastifyInstance } from 'fastify';
import type { Readiness } from '../../service/readiness.js';

/** What the metrics listener is made of. */
export interface MetricsAppParts {
  /** The metrics in a format that Prometheus scrapes. */
  readonly metricsText: () => Promise<{ readonly contentType: string; readonly body: string }>;
  readonly readiness: Readiness;
  /** Present: serve TLS with these options. Where they ask for a client certificate, `/metrics` demands a good one. */
  readonly tls?: TlsServerOptions | null;
}

/**
 * Builds the listener for operators: `/metrics`, `/livez` (the process turns its event loop) and `/readyz` (it may take
 * traffic; 503 while not, with each component's state). Does not listen.
 */
export function createMetricsApp({ metricsText, readiness, tls = null }: MetricsAppParts): FastifyInstance {
  const options = { return503OnClosing: false };
  const app =
    tls === null ? fastify(options) : (fastify<Server>({ ...options, https: tls }) as unknown as FastifyInstance);
  const wantsCertificate = tls?.requestCert === true;
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
  });
  app.get('/metrics', async (request, reply) => {
    // Probes have no certificate; a scraper can have one.
    if (wantsCertificate && !(request.raw.socket as TLSSocket).authorized) {
      return reply.code(403).type('text/plain; charset=utf-8').send('a client certificate is required\n');
    }
    const { contentType, body } = await metricsText();
    return reply.type(contentType).send(body);
  });
  app.get('/livez', async (_request, reply) => reply.type('text/plain; charset=utf-8').send('alive\n'));
  app.get('/readyz', async (_request, reply) =>
    reply.code(readiness.ready ? 200 : 503).send({ ready: readiness.ready, components: readiness.report }),
  );
  return app;
}
