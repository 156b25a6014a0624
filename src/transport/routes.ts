import { METHODS } from 'node:http';
import findMyWay, { type HTTPMethod } from 'find-my-way';
import { PATH_MAX_CHARACTERS, readRequestPath } from './request-path.js';

/** What a request is, by its HTTP method and path. */
export type RouteMatch =
  | {
      readonly kind: 'matched';
      /** The catalogue method that the route stands for. */
      readonly method: string;
      /** What the path names where the template has `{workflow_id}`, or `''` where it has none. */
      readonly workflowId: string;
    }
  /** No route has this method and path. */
  | { readonly kind: 'unmatched' }
  /** The path could be read as more than one route, or not at all: the request must be denied. */
  | { readonly kind: 'refused'; readonly detail: string };

/** Finds what a request is. */
export interface Routes {
  /** @param target the request target as sent, with or without its query. Never throws. */
  match(httpMethod: string, target: string): RouteMatch;
}

/** One route: an HTTP method and a path template, and the catalogue method that they stand for. */
export interface Route {
  /** Upper case. */
  readonly httpMethod: string;
  /** The template's segments, e.g. `['workflows', {capture: 'workflow_id'}]`. */
  readonly segments: readonly RouteSegment[];
  readonly method: string;
}

/** A segment that must be equal, or a name for whatever stands there. */
export type RouteSegment = string | { readonly capture: string };

/** The capture that names the workflow. */
export const WORKFLOW_CAPTURE = 'workflow_id';

/** Most routes of one table: far above any real one, and low enough to compare each with each. */
export const ROUTES_MAX = 2000;

const UNMATCHED: RouteMatch = { kind: 'unmatched' };
const REFUSED_BY_CASE: RouteMatch = {
  kind: 'refused',
  detail: 'The path reaches another route when upper and lower case are taken as the same.',
};
const REFUSED_BY_ESCAPES: RouteMatch = {
  kind: 'refused',
  detail: 'The path reaches another route when its percent-encoding is left as it is.',
};

/** Whether `method` is an HTTP method that a route may have. */
export function isRoutableHttpMethod(method: string): boolean {
  return METHODS.includes(method);
}

/** Reads `/a/{b}/c`. Returns the segments, or what is wrong. */
export function parseTemplate(template: string): readonly RouteSegment[] | string {
  if (!template.startsWith('/')) return 'a path template begins with "/"';
  if (template.length > PATH_MAX_CHARACTERS) return `a path template has at most ${PATH_MAX_CHARACTERS} characters`;
  const segments: RouteSegment[] = [];
  const captures = new Set<string>();
  const texts = template.slice(1).split('/');
  for (const [index, text] of texts.entries()) {
    const name = /^\{([a-z][a-z0-9_]*)\}$/.exec(text)?.[1];
    if (name !== undefined) {
      if (captures.has(name)) return `{${name}} stands twice`;
      captures.add(name);
      segments.push({ capture: name });
    } else if (/[{}]/.test(text)) {
      return `"${text}" is not a whole segment {name} of lower-case letters, digits and "_"`;
    } else if (text === '' && index < texts.length - 1) {
      return 'a path template has no empty segment';
    } else if (text === '.' || text === '..') {
      return 'a path template has no dot segment';
    } else if (!/^[A-Za-z0-9\-._~!$&'+,=:@]*$/.test(text)) {
      return `"${text}" has a character that a template cannot have (percent-encoding and wildcards among them)`;
    } else {
      segments.push(text);
    }
  }
  return segments;
}

/**
 * How two routes clash, or `null` when every path of both has one clear answer.
 *
 * Two routes of the same method overlap when some path fits both. That is fine where one is more specific in every
 * segment in which they differ (`/workflows/active` beside `/workflows/{workflow_id}`: the fixed text wins, as in all
 * common routers). It is a clash where they are the same, or where each is more specific somewhere (`/{a}/b` and
 * `/a/{b}`): routers disagree on those, so that the upstream might serve what was not decided on. Letter case is
 * ignored, as some upstreams do.
 */
export function routesClash(a: Route, b: Route): 'same' | 'ambiguous' | null {
  if (a.httpMethod !== b.httpMethod || a.segments.length !== b.segments.length) return null;
  let aMoreSpecific = false;
  let bMoreSpecific = false;
  for (const [index, left] of a.segments.entries()) {
    const right = b.segments[index] as RouteSegment;
    if (typeof left === 'string' && typeof right === 'string') {
      if (left.toLowerCase() !== right.toLowerCase()) return null;
    } else if (typeof left === 'string') {
      // A capture is never empty, so that it does not overlap with the empty segment after a trailing slash.
      if (left === '') return null;
      aMoreSpecific = true;
    } else if (typeof right === 'string') {
      if (right === '') return null;
      bMoreSpecific = true;
    }
  }
  if (aMoreSpecific && bMoreSpecific) return 'ambiguous';
  return aMoreSpecific || bMoreSpecific ? null : 'same';
}

/**
 * Builds the table. The routes must not clash (see {@link routesClash}) and must have routable methods.
 *
 * A request is matched only if its path is in the one accepted form (see `readRequestPath`), and only if it reaches
 * the same route whether or not letter case counts and whether or not escapes are decoded before routing; otherwise it
 * is refused. A template ends where it ends: `/a` does not match `/a/`, `GET` does not match `HEAD`.
 */
export function createRoutes(routes: readonly Route[]): Routes {
  // Every limit on length is `readRequestPath`'s.
  const options = { ignoreTrailingSlash: false, ignoreDuplicateSlashes: false, maxParamLength: PATH_MAX_CHARACTERS };
  const exact = findMyWay({ ...options, caseSensitive: true });
  const anyCase = findMyWay({ ...options, caseSensitive: false });
  for (const route of routes) {
    const pattern = patternOf(route.segments);
    exact.on(route.httpMethod as HTTPMethod, pattern, noHandler, route);
    anyCase.on(route.httpMethod as HTTPMethod, pattern, noHandler, route);
  }

  return {
    match(httpMethod, target) {
      const path = readRequestPath(target);
      if (path.kind === 'refused') return path;
      if (!isRoutableHttpMethod(httpMethod)) return UNMATCHED;
      const method = httpMethod as HTTPMethod;
      const found = exact.find(method, path.decoded);
      const route = routeOf(found);
      if (routeOf(anyCase.find(method, path.decoded)) !== route) return REFUSED_BY_CASE;
      if (path.masked !== path.decoded && routeOf(exact.find(method, path.masked)) !== route) return REFUSED_BY_ESCAPES;
      if (found === null || route === null) return UNMATCHED;
      return { kind: 'matched', method: route.method, workflowId: found.params[WORKFLOW_CAPTURE] ?? '' };
    },
  };
}

/** The route of a look-up, or `null`: also where a capture is empty, for it names nothing. */
function routeOf(found: { store: unknown; params: { [name: string]: string | undefined } } | null): Route | null {
  if (found === null) return null;
  for (const name in found.params) if (found.params[name] === '') return null;
  return found.store as Route;
}

/** The template in the router's own syntax, in which `:` begins a capture and `::` is a colon. */
function patternOf(segments: readonly RouteSegment[]): string {
  return `/${segments.map((segment) => (typeof segment === 'string' ? segment.replaceAll(':', '::') : `:${segment.capture}`)).join('/')}`;
}

/** The router insists on a handler; only its look-up is used. */
function noHandler(): void {}
