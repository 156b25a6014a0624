import { randomUUID } from 'node:crypto';
import type { Server, ServerOptions as TlsServerOptions } from 'node:https';
import fastifyCors from '@fastify/cors';
import fastifySwagger from '@fastify/swagger';
import fastify, {
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import type { SessionConfig } from '../../config.js';
import type { Clock } from '../../ports/clock.js';
import type { Logger } from '../../ports/logger.js';
import type { Metrics } from '../../ports/metrics.js';
import type { Sessions } from '../../ports/sessions.js';
import type { Tracing } from '../../ports/tracing.js';
import type { KeyService } from '../../service/keys.js';
import { observeRequests } from './access-log.js';
import { ACCOUNT_TAG_HEADER } from './account-tag.js';
import { type AllowedMethods, watchAllowedMethods } from './allowed-methods.js';
import { answerClientError } from './client-error.js';
import { creationAllowance } from './creation-allowance.js';
import { refuseCrossSiteWrites } from './cross-site.js';
import { devLogin } from './dev-login.js';
import { parseJsonBody } from './json-body.js';
import { keyRoutes } from './key-routes.js';
import { requireLoopbackHost } from './loopback-host.js';
import { openapiOptions } from './openapi.js';
import { HttpProblem, problemOfError } from './problem.js';
import { SHARED_SCHEMAS } from './schemas.js';
import { setSecurityHeaders } from './security-headers.js';
import { requireSession } from './session-guard.js';
import { traceRequests } from './trace-requests.js';
import { validatorCompiler } from './validate.js';
import { workflowRoutes } from './workflow-routes.js';

/** What the HTTP adapter is made of. */
export interface HttpAppParts {
  readonly keys: KeyService;
  readonly sessions: Sessions;
  /** How sessions are verified: names the cookie in the OpenAPI document; `dev` adds `/dev/login`. */
  readonly session: SessionConfig;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Origins besides this one whose pages may call the REST interface, e.g. `https://app.example.com`. */
  readonly allowedOrigins: readonly string[];
  /** Most keys that an account may make in a minute, rotations included; counted in this process. */
  readonly keyCreationsPerMinute: number;
  /** Further surfaces on the same listener, e.g. forward auth and the settings page; registered at the root. */
  readonly plugins?: readonly FastifyPluginAsync[];
  /** `null`: nothing is traced, and nothing done for it. */
  readonly tracing?: Tracing | null;
  /** Present: serve TLS with these options. */
  readonly tls?: TlsServerOptions | null;
}

/** Longest body of a request, in bytes. */
const BODY_LIMIT = 64 * 1024;

/** Longest time, in ms, that a request may take to arrive: a guard against clients that trickle. */
const ARRIVAL_TIMEOUT_MS = 15_000;

/**
 * Builds the HTTP adapter: REST under `/api`, its OpenAPI document, and the given plugins. Does not listen.
 *
 * Guarantees for every answer: security headers; errors as `application/problem+json` without any text of a driver or
 * a stack; a log line and a count by the route's template. `close()` lets calls in flight finish.
 */
export function createHttpApp(parts: HttpAppParts): FastifyInstance {
  const app = createServer(parts.tls ?? null);
  const allowedMethods = watchAllowedMethods(app);
  app.decorateRequest('accountId', '');
  app.setValidatorCompiler(validatorCompiler);
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply, parts.logger));
  app.addHook('onRequest', async (_request, reply) => {
    setSecurityHeaders(reply);
  });
  if (parts.tracing) traceRequests(app, parts.tracing);
  observeRequests(app, parts);
  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) answerUnrouted(request, reply, allowedMethods);
  });
  app.setNotFoundHandler((request, reply) => answerUnrouted(request, reply, allowedMethods));
  for (const schema of SHARED_SCHEMAS) app.addSchema(schema);

  app.register(fastifySwagger, openapiOptions(parts.session));
  app.register(restApi(parts), { prefix: '/api' });
  if (parts.session.mode === 'dev') app.register(devLogin);
  for (const plugin of parts.plugins ?? []) app.register(plugin);
  return app;
}

function createServer(tls: TlsServerOptions | null): FastifyInstance {
  const options = {
    bodyLimit: BODY_LIMIT,
    requestTimeout: ARRIVAL_TIMEOUT_MS,
    // A call that comes in on a kept connection while draining is still served; the answer closes the connection.
    return503OnClosing: false,
    genReqId: () => randomUUID(),
    clientErrorHandler: answerClientError,
    frameworkErrors: (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
      setSecurityHeaders(reply);
      writeProblem(problemOfError(error), request, reply);
    },
  };
  // One type for both: what differs is the raw server, and nothing here touches it.
  return tls === null
    ? fastify(options as object)
    : (fastify<Server>({ ...(options as object), https: tls }) as unknown as FastifyInstance);
}

function restApi(parts: HttpAppParts): FastifyPluginAsync {
  return async (api) => {
    if (parts.allowedOrigins.length > 0) {
      await api.register(fastifyCors, {
        origin: [...parts.allowedOrigins],
        credentials: true,
        methods: ['GET', 'HEAD', 'POST', 'DELETE'],
        allowedHeaders: ['content-type', 'if-none-match'],
        exposedHeaders: ['etag', ACCOUNT_TAG_HEADER, 'link', 'retry-after'],
        maxAge: 600,
        strictPreflight: false,
      });
    }
    api.removeAllContentTypeParsers();
    api.addContentTypeParser(
      'application/json',
      { parseAs: 'buffer' },
      async (_request: FastifyRequest, body: Buffer) => (body.length === 0 ? undefined : parseJsonBody(body)),
    );
    api.get(
      '/openapi.json',
      {
        schema: {
          operationId: 'getOpenApi',
          tags: ['about'],
          summary: 'This document',
          security: [],
          response: { 200: { type: 'object', additionalProperties: true, description: 'OpenAPI 3.1.' } },
        },
      },
      async (_request, reply) => reply.type('application/json').send(JSON.stringify(api.swagger())),
    );
    await api.register(guardedApi(parts));
  };
}

function guardedApi(parts: HttpAppParts): FastifyPluginAsync {
  return async (api) => {
    const refuseCrossSite = refuseCrossSiteWrites(new Set(parts.allowedOrigins));
    api.addHook('onRequest', async (request) => {
      if (parts.session.mode === 'dev') requireLoopbackHost(request);
      refuseCrossSite(request);
    });
    // Before the body is read: a stranger's body is not worth parsing.
    api.addHook('onRequest', requireSession(parts.sessions));
    const spendCreation = await creationAllowance(api, parts.keyCreationsPerMinute);
    await api.register(keyRoutes, { keys: parts.keys, clock: parts.clock, spendCreation });
    await api.register(workflowRoutes, { keys: parts.keys });
  };
}

function answerUnrouted(request: FastifyRequest, reply: FastifyReply, allowedMethods: AllowedMethods): FastifyReply {
  const allowed = allowedMethods(request.url);
  // A route may find that it has nothing under this name: then it is the name that is wrong, not the method.
  if (allowed.length === 0 || allowed.includes(request.method))
    throw new HttpProblem('not-found', 'There is nothing at this address.');
  const allow = [...allowed, 'OPTIONS'].join(', ');
  if (request.method === 'OPTIONS') return reply.code(204).header('allow', allow).send();
  throw new HttpProblem('method-not-allowed', `This address knows ${allow} only.`, { headers: { allow } });
}

function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply, logger: Logger): void {
  const problem = problemOfError(error);
  if (problem.status >= 500) {
    const log = problem.kind === 'internal' ? logger.error : logger.warn;
    log.call(logger, 'http request failed', { requestId: request.id, kind: problem.kind, error: problem.cause });
  }
  writeProblem(problem, request, reply);
}

function writeProblem(problem: HttpProblem, request: FastifyRequest, reply: FastifyReply): void {
  reply
    .code(problem.status)
    .headers(problem.headers)
    .type('application/problem+json')
    .send(JSON.stringify(problem.body(request.id)));
}
