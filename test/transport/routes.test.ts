import { describe, expect, test } from 'vitest';
import { defaultCatalogue } from '../../src/domain/default-catalogue.js';
import { ROUTES_MAX } from '../../src/transport/routes.js';
import { parseRoutes, RoutesError } from '../../src/transport/routes-file.js';

const catalogue = defaultCatalogue();

function routes(...lines: readonly (readonly [match: string, method: string])[]) {
  return parseRoutes(JSON.stringify(lines.map(([match, method]) => ({ match, method }))), 'routes.json', catalogue);
}

function problemsOf(text: string): readonly string[] {
  try {
    parseRoutes(text, 'routes.yaml', catalogue);
  } catch (error) {
    if (error instanceof RoutesError) return error.problems;
    throw error;
  }
  throw new Error('the routes were accepted');
}

describe('a table of routes', () => {
  const table = routes(
    ['GET /workflows/{workflow_id}/nodes/{node}', 'nodes.getOutput'],
    ['PUT /workflows/{workflow_id}/nodes/{node}', 'nodes.setConfig'],
    ['GET /workflows/active', 'workflows.list'],
    ['GET /workflows/{workflow_id}', 'workflow.getInfo'],
    ['POST /noclick.v1.Nodes/List', 'nodes.list'],
    ['GET /datasets:search', 'dataset.list'],
    ['GET /with-slash/', 'runs.list'],
  );

  test.each([
    ['GET', '/workflows/w1/nodes/n1', 'nodes.getOutput', 'w1'],
    ['GET', '/workflows/w1/nodes/n1?a=/b', 'nodes.getOutput', 'w1'],
    ['PUT', '/workflows/w1/nodes/n1', 'nodes.setConfig', 'w1'],
    ['GET', '/workflows/w1', 'workflow.getInfo', 'w1'],
    ['GET', '/workflows/W1', 'workflow.getInfo', 'W1'],
    ['GET', '/workflows/active', 'workflows.list', ''],
    ['POST', '/noclick.v1.Nodes/List', 'nodes.list', ''],
    ['GET', '/datasets:search', 'dataset.list', ''],
    ['GET', '/with-slash/', 'runs.list', ''],
    ['GET', '/workflows/a%20b', 'workflow.getInfo', 'a b'],
    ['GET', '/workflows/a:b', 'workflow.getInfo', 'a:b'],
    ['GET', '/workflows/a%3Ab', 'workflow.getInfo', 'a:b'],
    ['GET', `/workflows/${'w'.repeat(1000)}`, 'workflow.getInfo', 'w'.repeat(1000)],
    ['GET', '/workflows/__proto__', 'workflow.getInfo', '__proto__'],
  ])('finds %s %s', (httpMethod, target, method, workflowId) => {
    expect(table.match(httpMethod, target)).toEqual({ kind: 'matched', method, workflowId });
  });

  test.each([
    ['GET', '/'],
    ['GET', '/workflows'],
    ['GET', '/workflows/'],
    ['GET', '/workflows/w1/'],
    ['GET', '/workflows/w1/nodes/n1/'],
    ['GET', '/with-slash'],
    ['HEAD', '/workflows/w1'],
    ['get', '/workflows/w1'],
    ['POST', '/workflows/w1'],
    ['__proto__', '/workflows/w1'],
    ['', '/workflows/w1'],
    ['GET', '/noclick.v1.Nodes/List'],
  ])('has no route for %s %s', (httpMethod, target) => {
    expect(table.match(httpMethod, target)).toEqual({ kind: 'unmatched' });
  });

  test.each([
    ['GET', '/workflows/ACTIVE', 'a fixed segment in other letter case would be another route upstream'],
    ['GET', '/Workflows/w1', 'a route in other letter case'],
    ['POST', '/noclick.v1.nodes/list', 'a gRPC method in other letter case'],
    ['GET', '/datasets%3Asearch', 'an escape in a fixed segment'],
    ['GET', '/workflows/../workflows/w1', 'dot segments'],
    ['GET', '//workflows/w1', 'an empty segment'],
    ['GET', '/workflows/w1;v=1', 'a path parameter'],
    ['GET', 'http://host/workflows/w1', 'absolute form'],
    ['GET', '/workflows/w1%2Fnodes%2Fn1', 'an escaped slash'],
  ])('refuses %s %s: %s', (httpMethod, target) => {
    expect(table.match(httpMethod, target).kind).toBe('refused');
  });

  test('prefers fixed text to a capture in whatever order the routes stand', () => {
    const reversed = routes(
      ['GET /a/{workflow_id}', 'workflow.getInfo'],
      ['GET /a/{workflow_id}/c', 'nodes.list'],
      ['GET /a/b', 'workflows.list'],
      ['GET /a/b/c', 'runs.list'],
    );
    expect(reversed.match('GET', '/a/b')).toMatchObject({ method: 'workflows.list', workflowId: '' });
    expect(reversed.match('GET', '/a/b/c')).toMatchObject({ method: 'runs.list' });
    expect(reversed.match('GET', '/a/x/c')).toMatchObject({ method: 'nodes.list', workflowId: 'x' });
  });

  test('may be empty, and then matches nothing', () => {
    expect(parseRoutes('[]', 'routes.json', catalogue).match('GET', '/a')).toEqual({ kind: 'unmatched' });
  });

  test('reads YAML, a list under "routes", and aliases of methods', () => {
    const yaml = 'routes:\n  # outputs\n  - match: GET /w/{workflow_id}\n    method: workflow:get_node_outputs\n';
    expect(parseRoutes(yaml, 'routes.yaml', catalogue).match('GET', '/w/1')).toMatchObject({
      method: 'workflow:get_node_outputs',
    });
  });
});

describe('a routes file that cannot be used', () => {
  test('is refused with every problem at once, each with its line', () => {
    const text = [
      '- match: GET /workflows/{workflow_id}',
      '  method: nodes.fly',
      '- match: FETCH /a',
      '  method: nodes.list',
      '- match: GET a/b',
      '  method: nodes.list',
      '- match: GET /workflows/{id}',
      '  method: nodes.list',
      '- method: nodes.list',
      '- match: GET /x/{a}/y',
      '  methd: nodes.list',
      '- just text',
      '- match: GET /x/z/{b}',
      '  method: nodes.list',
    ].join('\n');
    expect(problemsOf(text)).toEqual([
      'routes.yaml:2: "nodes.fly" is not a method of the catalogue',
      'routes.yaml:3: "FETCH" is not an HTTP method (in upper case)',
      'routes.yaml:5: "a/b": a path template begins with "/"',
      'routes.yaml:7: "GET /workflows/{id}" is the same route as "GET /workflows/{workflow_id}" on line 1',
      'routes.yaml:9: "match" is missing',
      'routes.yaml:10: "method" is missing',
      'routes.yaml:11: unknown field "methd"; a route has "match" and "method"',
      'routes.yaml:12: a route must be {match, method}',
      'routes.yaml:13: "GET /x/z/{b}" is ambiguous with "GET /x/{a}/y" on line 10: some paths fit both, and neither is the more specific',
    ]);
  });

  test.each([
    ['/a//b', 'an empty segment'],
    ['/a/../b', 'a dot segment'],
    ['/a/{workflow_id}/{workflow_id}', 'a capture twice'],
    ['/a/{Workflow}', 'a capture in upper case'],
    ['/a/x{b}', 'a capture that is part of a segment'],
    ['/a/{b', 'an open brace'],
    ['/a/*', 'a wildcard'],
    ['/a/b;c', 'a path parameter'],
    ['/a/%41', 'an escape'],
    ['/a/é', 'a character outside ASCII'],
    ['/a?b=c', 'a query'],
    ['/a/(b)', 'a regular expression'],
  ])('has a template with %s: %s', (template) => {
    expect(problemsOf(JSON.stringify([{ match: `GET ${template}`, method: 'nodes.list' }]))).toHaveLength(1);
  });

  test('has two routes that differ by letter case only', () => {
    const text = JSON.stringify([
      { match: 'GET /Nodes', method: 'nodes.list' },
      { match: 'GET /nodes', method: 'runs.list' },
    ]);
    expect(problemsOf(text)).toEqual([expect.stringContaining('is the same route as')]);
  });

  test('is not YAML, not a list, or too long', () => {
    expect(problemsOf('a: [')).toEqual([expect.stringMatching(/^routes\.yaml:1: /)]);
    expect(problemsOf('')).toEqual(['routes.yaml:1: the file must hold a list of {match, method}']);
    expect(problemsOf('route: []')).toContain('routes.yaml:1: only the key "routes" may stand here');
    expect(problemsOf(JSON.stringify(Array(ROUTES_MAX + 1).fill(0)))).toEqual([expect.stringContaining('at most')]);
    expect(problemsOf(`[]${' '.repeat(1 << 20)}`)).toEqual([expect.stringContaining('characters')]);
  });
});
