import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { Failure } from '../../domain/failure.js';
import type { Logger } from '../../ports/logger.js';
import type { Authorizer } from '../../service/authorizer.js';
import { type Answer, answerOfError, answerOfVerdict, identityHeaders } from '../authorization-answer.js';
import { type ExtractionRules, extract, type ProxiedRequest } from '../extract.js';

export interface ForwardAuthParts {
  readonly authorizer: Authorizer;
  readonly rules: ExtractionRules;
  readonly logger: Logger;
}

/** The two families of headers by which proxies describe the request that they ask about. */
const ORIGINAL = { method: 'x-original-method', uri: 'x-original-uri' } as const;
const FORWARDED = { method: 'x-forwarded-method', uri: 'x-forwarded-uri' } as const;

/**
 * `/authorize`, any method: nginx `auth_request`, Caddy `forward_auth`, Traefik `ForwardAuth`.
 *
 * The proxied request is described by `X-Original-Method` and `X-Original-URI` (nginx), or `X-Forwarded-Method` and
 * `X-Forwarded-Uri` (Caddy, Traefik), and its own headers. Both headers of a family are needed; when both families are
 * given they must agree, because one of them is then the client's own. Answers 200 with the four identity headers (an
 * empty one too, so that a proxy that copies them overwrites a forged one), 401, 403, or 503 when no decision could be
 * made. Refusals carry a problem document and `X-Latchkey-Reason`.
 *
 * The answer is given before a body is read: a proxy's subrequest has none, and nobody else can make the adapter
 * buffer one.
 */
export function forwardAuth(parts: ForwardAuthParts): FastifyPluginAsync {
  return async (scope) => {
    scope.all(
      '/authorize',
      { schema: { hide: true }, onRequest: (request, reply) => authorize(parts, request, reply) },
      unreachable,
    );
  };
}

async function authorize(parts: ForwardAuthParts, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const extraction = extract(proxiedRequestOf(request.raw.rawHeaders), parts.rules);
  let answer: Answer;
  try {
    const pending = parts.authorizer.authorize(
      'forward_auth',
      extraction.key,
      extraction.workflowId,
      extraction.method,
    );
    answer = answerOfVerdict(pending instanceof Promise ? await pending : pending, extraction);
  } catch (error) {
    if (!(error instanceof Failure))
      parts.logger.error('a forward-auth request ended in an unexpected error', { error });
    answer = answerOfError(error);
  }
  if (answer.kind === 'allowed') {
    reply.code(200).header('cache-control', 'no-store');
    for (const [name, value] of identityHeaders(answer.key)) reply.header(name, value);
    return reply.send();
  }
  reply.code(answer.status);
  for (const [name, value] of answer.headers) reply.header(name, value);
  // As bytes: to a text Fastify would add a charset, which a JSON type does not have.
  return reply.send(Buffer.from(answer.body));
}

/** The hook has answered already. */
async function unreachable(): Promise<never> {
  throw new Error('a forward-auth request passed its hook');
}

/** @param rawHeaders names and values in turn: Node's parsed headers drop a repeated `Authorization` in silence */
function proxiedRequestOf(rawHeaders: readonly string[]): ProxiedRequest {
  const headers: [string, string][] = [];
  const descriptions = new Map<string, string>();
  const seen = new Set<string>();
  let repeated = false;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase();
    const value = rawHeaders[i + 1] as string;
    headers.push([name, value]);
    if (name === ORIGINAL.method || name === ORIGINAL.uri || name === FORWARDED.method || name === FORWARDED.uri) {
      repeated ||= seen.has(name);
      seen.add(name);
      // An empty header is how a proxy says that it has none.
      if (value !== '') descriptions.set(name, value);
    }
  }
  const original = familyOf(descriptions, ORIGINAL);
  const forwarded = familyOf(descriptions, FORWARDED);
  const described = original ?? forwarded;
  return {
    headers,
    httpMethod: described?.method ?? '',
    target: described?.uri ?? '',
    contextExtensions: {},
    contradiction: contradictionOf(repeated, original, forwarded),
  };
}

interface Description {
  readonly method: string;
  readonly uri: string;
}

/** What a family says, or `null` when it says nothing; `''` stands for the header that is missing. */
function familyOf(
  descriptions: ReadonlyMap<string, string>,
  names: { readonly method: string; readonly uri: string },
): Description | null {
  const method = descriptions.get(names.method);
  const uri = descriptions.get(names.uri);
  return method === undefined && uri === undefined ? null : { method: method ?? '', uri: uri ?? '' };
}

function contradictionOf(
  repeated: boolean,
  original: Description | null,
  forwarded: Description | null,
): string | null {
  if (repeated) return 'A header that describes the original request is given more than once.';
  for (const family of [original, forwarded]) {
    if (family !== null && (family.method === '' || family.uri === '')) {
      return 'The original request is described by its method or its URI only; both are needed.';
    }
  }
  if (original !== null && forwarded !== null) {
    if (original.method !== forwarded.method || original.uri !== forwarded.uri) {
      return 'X-Original-* and X-Forwarded-* describe two different requests.';
    }
  }
  return null;
}
