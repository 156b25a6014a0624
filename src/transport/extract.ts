import { RAW_KEY_PREFIX } from '../domain/raw-key.js';
import type { Routes } from './routes.js';

/** A request as a proxy describes it, before anything is known of it. */
export interface ProxiedRequest {
  /**
   * Every header that {@link mayBeRead}, names in any case, repeated headers as repeated entries. A proxy that joins repeated
   * headers with commas may pass them joined: a comma in a header that is read here counts as a repetition.
   */
  readonly headers: Iterable<readonly [name: string, value: string]>;
  /** The HTTP method; `''` when the proxy did not say. */
  readonly httpMethod: string;
  /** The request target, with or without query; `''` when the proxy did not say. */
  readonly target: string;
  /** What the proxy's own configuration says of the route (`method`, `workflow_id`); never the client's words. */
  readonly contextExtensions: Readonly<Record<string, string>>;
  /** Why the proxy's description cannot be believed, in words for the client; absent when it can. */
  readonly contradiction?: string | null;
}

/** Where a method and a workflow may come from. */
export interface ExtractionRules {
  /** The routes file's, or `null` without one. */
  readonly routes: Routes | null;
  /** Whether `X-Latchkey-Method` and `X-Latchkey-Workflow` are believed. */
  readonly trustMethodHeaders: boolean;
}

/**
 * What is asked of the authorizer, in its own terms.
 *
 * Always complete: a request whose credentials are missing, repeated or in conflict has the key `''`, which the
 * decision table answers with `KEY_MALFORMED` (401); one whose method cannot be told safely has the method `''`,
 * answered with `METHOD_UNKNOWN` (403) once the key itself is good. So one table decides everything, and a bad key
 * never learns whether its route exists.
 */
export interface Extraction {
  readonly key: string;
  readonly workflowId: string;
  readonly method: string;
  /** Why `key` is `''`, in words for the client; else `null`. Holds nothing that the client sent. */
  readonly keyProblem: string | null;
  /** Why `method` is `''`, in words for the client; else `null`. Holds nothing that the client sent. */
  readonly methodProblem: string | null;
  /** Whether the request held any credential at all. */
  readonly keyPresented: boolean;
  /**
   * Names, in lower case, that must not reach the upstream although an identity header of that name is not set:
   * headers that hold the raw key, and every `x-latchkey-*` that the client sent, in any spelling that some upstream
   * takes for one (`X_Latchkey_Key_Id` is the same variable to CGI and WSGI).
   */
  readonly headersToRemove: readonly string[];
}

/** Longest credential or field, in characters, that is passed on; longer ones are refused here. */
const FIELD_MAX_CHARACTERS = 4096;

/** What the names of all headers of Latchkey's own begin with. */
const OWN_HEADER = 'x-latchkey-';
const METHOD_HEADER = 'x-latchkey-method';
const WORKFLOW_HEADER = 'x-latchkey-workflow';

/** By these, frameworks serve another HTTP method than the one on the request line. */
const METHOD_OVERRIDES: ReadonlySet<string> = new Set(['x-http-method-override', 'x-http-method', 'x-method-override']);

/**
 * Reports whether a header whose name begins with this byte may be read at all, so that a caller can pass over the
 * others: all names that matter here begin with `a` or `x`.
 */
export function mayBeRead(firstByte: number): boolean {
  const lower = firstByte | 0x20;
  return lower === 0x61 || lower === 0x78;
}

/** A header that is read here: absent, given once, or given more than once. */
type Found = string | null | typeof REPEATED;
const REPEATED = Symbol('REPEATED');

/** One source's word on the method or the workflow: `''` when it says nothing. */
type Named = { readonly kind: 'named'; readonly value: string } | { readonly kind: 'problem'; readonly detail: string };
const UNNAMED: Named = { kind: 'named', value: '' };

/**
 * Reads key, method and workflow out of a proxied request. Pure; never throws.
 *
 * **Key**: the token of `Authorization: Bearer`, else `X-Api-Key`. Both may be given when they hold the same key.
 * Either of them twice, or two different keys, deny; proxies join repeated headers with a comma. `Authorization` of
 * another scheme is not a key.
 *
 * **Method and workflow**, each from the first source that names it:
 * 1. the proxy's per-route context extensions;
 * 2. the routes file, by HTTP method and path;
 * 3. `X-Latchkey-Method` and `X-Latchkey-Workflow`, only when trusted.
 *
 * A source that is passed over must still not contradict: a workflow captured from the path, or a trusted header, that
 * differs from what was taken denies. (The method of a route is not compared with the context extensions' method: both
 * are the operator's words, and the one on the proxy's route is the more specific.) A path that the routes file
 * refuses denies and never falls through to the headers.
 */
export function extract(request: ProxiedRequest, rules: ExtractionRules): Extraction {
  let authorization: Found = null;
  let apiKey: Found = null;
  let methodHeader: Found = null;
  let workflowHeader: Found = null;
  let overridden = false;
  const headersToRemove: string[] = [];

  for (const [anyCaseName, value] of request.headers) {
    const name = anyCaseName.toLowerCase();
    if (name === 'authorization') authorization = addAuthorization(authorization, value);
    else if (name === 'x-api-key') apiKey = add(apiKey, value);
    else if (METHOD_OVERRIDES.has(name)) overridden = true;
    else if (name.startsWith('x') && name.replaceAll('_', '-').startsWith(OWN_HEADER)) {
      if (!headersToRemove.includes(name)) headersToRemove.push(name);
      if (name === METHOD_HEADER) methodHeader = add(methodHeader, value);
      else if (name === WORKFLOW_HEADER) workflowHeader = add(workflowHeader, value);
    }
  }

  const bearer = authorization === null ? null : bearerOf(authorization);
  if (bearer !== null || (typeof authorization === 'string' && authorization.includes(RAW_KEY_PREFIX))) {
    headersToRemove.push('authorization');
  }
  if (apiKey !== null) headersToRemove.push('x-api-key');
  const key = oneKey(bearer, apiKey);

  const { method, workflow } = nameBoth(request, rules, methodHeader, workflowHeader, overridden);
  const problem = method.kind === 'problem' ? method : workflow.kind === 'problem' ? workflow : null;
  return {
    key: key.kind === 'named' ? key.value : '',
    keyProblem: key.kind === 'named' ? null : key.detail,
    method: problem === null && method.kind === 'named' ? method.value : '',
    workflowId: problem === null && workflow.kind === 'named' ? workflow.value : '',
    methodProblem:
      problem !== null ? problem.detail : method === UNNAMED ? 'No configured route or header names a method.' : null,
    keyPresented: (authorization !== null && bearer !== null) || (apiKey !== null && apiKey !== ''),
    headersToRemove,
  };
}

const BEARER = /^bearer(?: |$)/i;
// A token of RFC 9110, and nothing or a space after it.
const SCHEME = /^\s*[\w!#$%&'*+.^`|~-]+(?:\s|$)/;

function add(found: Found, value: string): Found {
  return found === null && !value.includes(',') ? value : REPEATED;
}

/**
 * Parameters of some schemes (Digest, AWS4-HMAC-SHA256) have commas between them. What follows a comma is the next
 * header only when it begins with a scheme of its own: a word and a space, where a parameter is a word and `=`.
 */
function addAuthorization(found: Found, value: string): Found {
  if (found !== null) return REPEATED;
  if (!value.includes(',')) return value;
  const [, ...rest] = value.split(',');
  return rest.some((part) => SCHEME.test(part)) ? REPEATED : value;
}

/** The token of an `Authorization` header, `null` when it is of another scheme, `REPEATED` when it is not one token. */
function bearerOf(authorization: string | typeof REPEATED): Found {
  if (authorization === REPEATED) return REPEATED;
  if (!BEARER.test(authorization)) return null;
  return authorization.slice('bearer'.length).replace(/^ +/, '');
}

function oneKey(bearer: Found, apiKey: Found): Named {
  if (bearer === REPEATED || apiKey === REPEATED) return problem('A credential header is given more than once.');
  if (bearer !== null && apiKey !== null && apiKey !== '' && bearer !== apiKey) {
    return problem('Two different keys are given.');
  }
  const key = bearer ?? apiKey ?? '';
  if (key === '') return problem('No API key is given; send it as "Authorization: Bearer <key>" or as "X-Api-Key".');
  if (key.length > FIELD_MAX_CHARACTERS) return problem('The API key is too long.');
  return { kind: 'named', value: key };
}

function nameBoth(
  request: ProxiedRequest,
  rules: ExtractionRules,
  methodHeader: Found,
  workflowHeader: Found,
  overridden: boolean,
): { readonly method: Named; readonly workflow: Named } {
  if (request.contradiction) return both(problem(request.contradiction));
  let method = ownValue(request.contextExtensions, 'method');
  let workflow = ownValue(request.contextExtensions, 'workflow_id');

  if (rules.routes !== null && request.target !== '') {
    const route = rules.routes.match(request.httpMethod, request.target);
    if (route.kind === 'refused' && (method === '' || workflow === '')) return both(problem(route.detail));
    if (route.kind === 'matched') {
      if (overridden && method === '') return both(problem('A header asks for another HTTP method than the one sent.'));
      if (workflow !== '' && route.workflowId !== '' && workflow !== route.workflowId) {
        return both(problem('The path names another workflow than the proxy does.'));
      }
      method ||= route.method;
      workflow ||= route.workflowId;
    }
  }

  if (rules.trustMethodHeaders) {
    if (methodHeader === REPEATED || workflowHeader === REPEATED) {
      return both(problem('X-Latchkey-Method or X-Latchkey-Workflow is given more than once.'));
    }
    if (method !== '' && methodHeader && methodHeader !== method) {
      return both(problem('X-Latchkey-Method names another method than the route does.'));
    }
    if (workflow !== '' && workflowHeader && workflowHeader !== workflow) {
      return both(problem('X-Latchkey-Workflow names another workflow than the route does.'));
    }
    method ||= methodHeader ?? '';
    workflow ||= workflowHeader ?? '';
  }

  if (method.length > FIELD_MAX_CHARACTERS || workflow.length > FIELD_MAX_CHARACTERS) {
    return both(problem('The name of the method or of the workflow is too long.'));
  }
  return { method: named(method), workflow: named(workflow) };
}

function both(one: Named): { readonly method: Named; readonly workflow: Named } {
  return { method: one, workflow: one };
}

function named(value: string): Named {
  return value === '' ? UNNAMED : { kind: 'named', value };
}

function problem(detail: string): Named {
  return { kind: 'problem', detail };
}

function ownValue(record: Readonly<Record<string, string>>, name: string): string {
  return Object.hasOwn(record, name) ? (record[name] ?? '') : '';
}
