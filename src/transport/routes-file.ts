import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import {
  createRoutes,
  isRoutableHttpMethod,
  parseTemplate,
  ROUTES_MAX,
  type Route,
  type Routes,
  routesClash,
} from './routes.js';

/** A routes file that cannot be used. The message lists every problem as `file:line: what is wrong`. */
export class RoutesError extends Error {
  override readonly name = 'RoutesError';

  constructor(readonly problems: readonly string[]) {
    super(`the routes file cannot be used:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
  }
}

/** Most characters of a routes file: more than {@link ROUTES_MAX} long routes take. */
export const ROUTES_FILE_MAX_CHARACTERS = 1 << 20;

type Report = (at: number, problem: string) => void;

/**
 * Reads routes from YAML or JSON: a list of `{match: "GET /workflows/{workflow_id}/nodes/{node}", method:
 * nodes.getOutput}`, at the top or under the one key `routes`. Both fields are given, no other is allowed.
 *
 * A call over gRPC is a route too: `POST /package.Service/Method`.
 *
 * @param fileName how to call the file in messages
 * @param methods knows every spelling of every method
 * @throws RoutesError with all problems at once, each with its line
 */
export function parseRoutes(text: string, fileName: string, methods: { find(name: string): unknown }): Routes {
  if (text.length > ROUTES_FILE_MAX_CHARACTERS) {
    throw new RoutesError([`${fileName}:1: the file has more than ${ROUTES_FILE_MAX_CHARACTERS} characters`]);
  }
  const lines = new LineCounter();
  const lineAt = (at: number): number => lines.linePos(at).line || 1;
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, strict: true });
  const problems: { readonly line: number; readonly text: string }[] = [];
  const report: Report = (at, problem) => {
    problems.push({ line: lineAt(at), text: problem });
  };

  for (const error of document.errors) report(error.pos[0], error.message.split('\n', 1)[0] as string);
  const rows = document.errors.length === 0 ? rowsOf(document.contents as Node | null, report) : [];
  const routes: { readonly route: Route; readonly at: number; readonly match: string }[] = [];
  for (const row of rows) {
    const parsed = parseRow(row, methods, report);
    if (parsed === null) continue;
    for (const earlier of routes) {
      const clash = routesClash(earlier.route, parsed.route);
      if (clash === null) continue;
      const rest = `"${earlier.match}" on line ${lineAt(earlier.at)}`;
      report(
        parsed.at,
        clash === 'same'
          ? `"${parsed.match}" is the same route as ${rest}`
          : `"${parsed.match}" is ambiguous with ${rest}: some paths fit both, and neither is the more specific`,
      );
    }
    routes.push(parsed);
  }

  if (problems.length > 0) {
    problems.sort((a, b) => a.line - b.line);
    throw new RoutesError(problems.map((problem) => `${fileName}:${problem.line}: ${problem.text}`));
  }
  return createRoutes(routes.map(({ route }) => route));
}

function rowsOf(root: Node | null, report: Report): readonly Node[] {
  let list: unknown = root;
  if (isMap(root)) {
    for (const pair of root.items) {
      const key = pair.key as Node;
      if (!isScalar(key) || key.value !== 'routes') report(startOf(key), 'only the key "routes" may stand here');
    }
    list = root.get('routes', true);
  }
  if (!isSeq(list)) {
    report(startOf(root), 'the file must hold a list of {match, method}');
    return [];
  }
  if (list.items.length > ROUTES_MAX) {
    report(startOf(list), `there are ${list.items.length} routes; at most ${ROUTES_MAX} are allowed`);
    return [];
  }
  return list.items as readonly Node[];
}

function parseRow(
  row: Node,
  methods: { find(name: string): unknown },
  report: Report,
): { readonly route: Route; readonly at: number; readonly match: string } | null {
  if (!isMap(row)) {
    report(startOf(row), 'a route must be {match, method}');
    return null;
  }
  for (const pair of row.items) {
    const key = pair.key as Node;
    if (!isScalar(key) || (key.value !== 'match' && key.value !== 'method')) {
      report(
        startOf(key),
        `unknown field "${String(isScalar(key) ? key.value : key)}"; a route has "match" and "method"`,
      );
    }
  }
  const match = textOf(row, 'match', report);
  const method = textOf(row, 'method', report);
  if (method !== null && methods.find(method.value) === undefined) {
    report(method.at, `"${method.value}" is not a method of the catalogue`);
  }
  if (match === null) return null;
  const parts = /^(\S+) +(\S+)$/.exec(match.value);
  if (parts === null) {
    report(match.at, `"${match.value}" is not an HTTP method, a space and a path template`);
    return null;
  }
  const [, httpMethod, template] = parts as unknown as [string, string, string];
  if (!isRoutableHttpMethod(httpMethod)) {
    report(match.at, `"${httpMethod}" is not an HTTP method (in upper case)`);
    return null;
  }
  const segments = parseTemplate(template);
  if (typeof segments === 'string') {
    report(match.at, `"${template}": ${segments}`);
    return null;
  }
  return { route: { httpMethod, segments, method: method?.value ?? '' }, at: match.at, match: match.value };
}

function textOf(
  row: Node & { get(key: string, keepScalar: true): unknown },
  field: string,
  report: Report,
): { readonly value: string; readonly at: number } | null {
  const node = row.get(field, true);
  if (node === undefined) {
    report(startOf(row), `"${field}" is missing`);
    return null;
  }
  if (!isScalar(node) || typeof node.value !== 'string' || node.value === '') {
    report(startOf(node as Node), `"${field}" must be a text`);
    return null;
  }
  return { value: node.value, at: startOf(node as Node) };
}

function startOf(node: Node | null): number {
  return node?.range?.[0] ?? 0;
}
