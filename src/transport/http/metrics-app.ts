import type { Server, ServerOptions as TlsServerOptions } from 'node:https';
import type { TLSSocket } from 'node:tls';
import fastify, { type FastifyInstance } from 'fastify';
import type { Logger } from '../../ports/logger.js';
import type { Readiness } from '../../service/readiness.js';

/** How long a request may take to arrive, in ms. */
const REQUEST_TIMEOUT_MS = 10_000;

/** What the metrics listener is made of. */
export interface MetricsAppParts {
  /** The metrics in a format that Prometheus scrapes. */
  readonly metricsText: () => Promise<{ readonly contentType: string; readonly body: string }>;
  readonly readiness: Readiness;
  readonly logger: Logger;
  /** Present: serve TLS with these options. Where they ask for a client certificate, `/metrics` demands a good one. */
  readonly tls?: TlsServerOptions | null;
}

/**
 * Builds the listener for operators: `/metrics`, `/livez` (the process turns its event loop) and `/readyz` (it may take
 * traffic; 503 while not, with each component's state). Does not listen.
 */
export function createMetricsApp({ metricsText, readiness, logger, tls = null }: MetricsAppParts): FastifyInstance {
  const options = { return503OnClosing: false, requestTimeout: REQUEST_TIMEOUT_MS };
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
  // Not the words of the error: whoever reads metrics need not be who reads logs.
  app.setErrorHandler((error, _request, reply) => {
    logger.error('the metrics could not be gathered', { error });
    return reply.code(500).type('text/plain; charset=utf-8').send('the metrics could not be gathered\n');
  });
  app.get('/livez', async (_request, reply) => reply.type('text/plain; charset=utf-8').send('alive\n'));
  app.get('/readyz', async (_request, reply) =>
    reply.code(readiness.ready ? 200 : 503).send({ ready: readiness.ready, components: readiness.report }),
  );
  return app;
}
