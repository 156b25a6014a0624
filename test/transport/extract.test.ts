import { describe, expect, test } from 'vitest';
import { defaultCatalogue } from '../../src/domain/default-catalogue.js';
import { type Extraction, type ExtractionRules, extract, type ProxiedRequest } from '../../src/transport/extract.js';
import { parseRoutes } from '../../src/transport/routes-file.js';
import { rawKeyOf } from '../support/fakes/builders.js';

const KEY = rawKeyOf(1);
const OTHER_KEY = rawKeyOf(2);
const routes = parseRoutes(
  JSON.stringify([
    { match: 'GET /workflows/{workflow_id}', method: 'workflow.getInfo' },
    { match: 'GET /workflows', method: 'workflows.list' },
    { match: 'POST /noclick.v1.Nodes/List', method: 'nodes.list' },
  ]),
  'routes.json',
  defaultCatalogue(),
);
const WITH_ROUTES: ExtractionRules = { routes, trustMethodHeaders: false };
const TRUSTING: ExtractionRules = { routes, trustMethodHeaders: true };
const BARE: ExtractionRules = { routes: null, trustMethodHeaders: false };

function read(given: Partial<ProxiedRequest>, rules: ExtractionRules = WITH_ROUTES): Extraction {
  return extract(
    {
      headers: [['authorization', `Bearer ${KEY}`]],
      httpMethod: 'GET',
      target: '/workflows/w1',
      contextExtensions: {},
      ...given,
    },
    rules,
  );
}

function readKey(...headers: [string, string][]): Extraction {
  return read({ headers });
}

describe('the key', () => {
  test.each<[string, [string, string][]]>([
    ['Authorization: Bearer', [['authorization', `Bearer ${KEY}`]]],
    ['a scheme in other letter case', [['Authorization', `bEARER ${KEY}`]]],
    ['several spaces after the scheme', [['authorization', `Bearer   ${KEY}`]]],
    ['X-Api-Key', [['X-Api-Key', KEY]]],
    [
      'X-Api-Key beside another scheme',
      [
        ['authorization', 'Basic dXNlcjpwYXNz'],
        ['x-api-key', KEY],
      ],
    ],
    [
      'both, the same',
      [
        ['authorization', `Bearer ${KEY}`],
        ['x-api-key', KEY],
      ],
    ],
    [
      'Bearer beside an empty X-Api-Key',
      [
        ['authorization', `Bearer ${KEY}`],
        ['x-api-key', ''],
      ],
    ],
  ])('is read from %s', (_, headers) => {
    expect(readKey(...headers)).toMatchObject({ key: KEY, keyProblem: null, keyPresented: true });
  });

  test.each<[string, [string, string][]]>([
    [
      'two different keys',
      [
        ['authorization', `Bearer ${KEY}`],
        ['x-api-key', OTHER_KEY],
      ],
    ],
    [
      'Authorization twice',
      [
        ['authorization', `Bearer ${KEY}`],
        ['authorization', `Bearer ${KEY}`],
      ],
    ],
    [
      'Authorization twice in two spellings',
      [
        ['Authorization', `Bearer ${KEY}`],
        ['AUTHORIZATION', 'Basic eA=='],
      ],
    ],
    ['Authorization joined by a comma', [['authorization', `Bearer ${KEY},Bearer ${KEY}`]]],
    [
      'X-Api-Key twice',
      [
        ['x-api-key', KEY],
        ['x-api-key', KEY],
      ],
    ],
    ['X-Api-Key joined by a comma', [['x-api-key', `${KEY},${OTHER_KEY}`]]],
    [
      'an empty X-Api-Key and another',
      [
        ['x-api-key', ''],
        ['x-api-key', KEY],
      ],
    ],
    [
      'a Bearer scheme without a token beside X-Api-Key',
      [
        ['authorization', 'Bearer'],
        ['x-api-key', KEY],
      ],
    ],
    [
      'a repeated Authorization beside X-Api-Key',
      [
        ['authorization', 'Basic a,Basic b'],
        ['x-api-key', KEY],
      ],
    ],
    ['a key of 64 KiB', [['x-api-key', KEY.repeat(1000)]]],
  ])('is refused, and not guessed, given %s', (_, headers) => {
    const extraction = readKey(...headers);
    expect(extraction).toMatchObject({ key: '', keyPresented: true });
    expect(extraction.keyProblem).not.toBeNull();
    expect(JSON.stringify(extraction)).not.toContain(KEY);
  });

  test('that is missing is told apart from one that is refused', () => {
    expect(readKey()).toMatchObject({ key: '', keyPresented: false });
    expect(readKey(['authorization', 'Basic dXNlcjpwYXNz'])).toMatchObject({ key: '', keyPresented: false });
    expect(readKey(['x-api-key', ''])).toMatchObject({ key: '', keyPresented: false });
  });

  test.each([
    'Digest username="u", realm="r", uri="/a,b"',
    'AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host;x-amz-date, Signature=fe',
  ])('is read beside an Authorization of another scheme with commas in it: %s', (authorization) => {
    expect(readKey(['authorization', authorization], ['x-api-key', KEY])).toMatchObject({ key: KEY, keyProblem: null });
  });

  test('never goes upstream, wherever it was read from', () => {
    expect(readKey(['authorization', `Bearer ${KEY}`]).headersToRemove).toEqual(['authorization']);
    expect(readKey(['X-Api-Key', KEY]).headersToRemove).toEqual(['x-api-key']);
    expect(readKey(['authorization', `Bearer ${KEY}`], ['x-api-key', KEY]).headersToRemove).toEqual([
      'authorization',
      'x-api-key',
    ]);
    expect(readKey(['authorization', `Key ${KEY}`], ['x-api-key', KEY]).headersToRemove).toContain('authorization');
  });

  test("leaves the upstream's own credentials alone", () => {
    expect(readKey(['authorization', 'Basic dXNlcjpwYXNz'], ['x-api-key', KEY]).headersToRemove).toEqual(['x-api-key']);
  });
});

describe('forged identity headers', () => {
  test('are removed in every spelling that some upstream takes for one', () => {
    const extraction = readKey(
      ['x-latchkey-key-id', 'forged'],
      ['X-Latchkey-Account-Id', 'forged'],
      ['x_latchkey_workflow_id', 'forged'],
      ['X-LATCHKEY_permissions', 'forged'],
      ['x-latchkey-anything', 'forged'],
      ['x-latchkey-key-id', 'again'],
      ['x-other', 'kept'],
    );
    expect(extraction.headersToRemove).toEqual([
      'x-latchkey-key-id',
      'x-latchkey-account-id',
      'x_latchkey_workflow_id',
      'x-latchkey_permissions',
      'x-latchkey-anything',
    ]);
  });
});

describe('the method and the workflow', () => {
  test('are those of the context extensions first', () => {
    const contextExtensions = { method: 'nodes.setConfig', workflow_id: 'w1' };
    expect(read({ contextExtensions })).toMatchObject({ method: 'nodes.setConfig', workflowId: 'w1' });
    expect(read({ contextExtensions }, BARE)).toMatchObject({ method: 'nodes.setConfig', workflowId: 'w1' });
  });

  test('may come from two sources, one each', () => {
    expect(read({ contextExtensions: { method: 'nodes.list' } })).toMatchObject({
      method: 'nodes.list',
      workflowId: 'w1',
    });
    expect(read({ target: '/workflows', contextExtensions: { workflow_id: 'w2' } })).toMatchObject({
      method: 'workflows.list',
      workflowId: 'w2',
    });
  });

  test('are those of the routes file next', () => {
    expect(read({})).toMatchObject({ method: 'workflow.getInfo', workflowId: 'w1', methodProblem: null });
    expect(read({ httpMethod: 'POST', target: '/noclick.v1.Nodes/List' })).toMatchObject({
      method: 'nodes.list',
      workflowId: '',
    });
  });

  const named: [string, string][] = [
    ['authorization', `Bearer ${KEY}`],
    ['x-latchkey-method', 'nodes.list'],
    ['x-latchkey-workflow', 'w9'],
  ];

  test('are those of the headers last, and only when these are trusted', () => {
    const given = { headers: named, target: '/elsewhere' };
    expect(read(given, TRUSTING)).toMatchObject({ method: 'nodes.list', workflowId: 'w9', methodProblem: null });
    expect(read({ headers: named, target: '', httpMethod: '' }, TRUSTING)).toMatchObject({ method: 'nodes.list' });
    expect(read(given, WITH_ROUTES)).toMatchObject({ method: '', workflowId: '' });
    expect(read(given, BARE)).toMatchObject({ method: '', workflowId: '' });
  });

  test('are not changed by headers that are not trusted', () => {
    expect(read({ headers: named })).toMatchObject({ method: 'workflow.getInfo', workflowId: 'w1' });
  });

  test('are refused without any source', () => {
    const extraction = read({}, BARE);
    expect(extraction).toMatchObject({ key: KEY, method: '', workflowId: '' });
    expect(extraction.methodProblem).not.toBeNull();
  });

  test.each<[string, Partial<ProxiedRequest>, ExtractionRules]>([
    ['the path names another workflow than the context', { contextExtensions: { workflow_id: 'w2' } }, WITH_ROUTES],
    ['a trusted header names another method than the route', { headers: named }, TRUSTING],
    ['a trusted header names another workflow than the route', { headers: [['x-latchkey-workflow', 'w2']] }, TRUSTING],
    [
      'a trusted header is given twice',
      {
        headers: [
          ['x-latchkey-method', 'nodes.list'],
          ['X-Latchkey-Method', 'nodes.list'],
        ],
        target: '/elsewhere',
      },
      TRUSTING,
    ],
    [
      'a trusted header is joined by a comma',
      { headers: [['x-latchkey-method', 'nodes.list,nodes.list']], target: '/elsewhere' },
      TRUSTING,
    ],
    ['the path is refused', { target: '/workflows/../workflows/w1' }, WITH_ROUTES],
    ['the path is refused, although headers name a method', { headers: named, target: '/x/../y' }, TRUSTING],
    [
      'the path is refused and the context names only the method',
      { contextExtensions: { method: 'nodes.list' }, target: '/workflows//w1' },
      WITH_ROUTES,
    ],
    ['the target is in absolute form', { target: 'http://h/workflows/w1' }, WITH_ROUTES],
    ['a header overrides the HTTP method', { headers: [['X-HTTP-Method-Override', 'DELETE']] }, WITH_ROUTES],
    ['the proxy contradicts itself', { contradiction: 'Two stories.' }, WITH_ROUTES],
    ['the workflow is too long', { contextExtensions: { workflow_id: 'w'.repeat(5000) } }, BARE],
  ])('are refused when %s', (_, given, rules) => {
    const extraction = read(given, rules);
    expect(extraction).toMatchObject({ method: '', workflowId: '' });
    expect(extraction.methodProblem).not.toBeNull();
  });

  test('do not depend on the path where the context names both', () => {
    const contextExtensions = { method: 'nodes.list', workflow_id: 'w1' };
    expect(read({ contextExtensions, target: '/files/a%2Fb' })).toMatchObject({ method: 'nodes.list' });
  });

  test('are not looked for on a prototype', () => {
    const contextExtensions = Object.create({ method: 'nodes.list' }) as Record<string, string>;
    expect(read({ contextExtensions }, BARE).method).toBe('');
  });
});
