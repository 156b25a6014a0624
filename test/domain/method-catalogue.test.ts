import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { defaultCatalogue } from '../../src/domain/default-catalogue.js';
import { CatalogueError, parseCatalogue } from '../../src/domain/method-catalogue.js';
import { Permission } from '../../src/domain/permissions.js';

const row = (given: Record<string, unknown>): string =>
  JSON.stringify({
    name: 'a.b',
    aliases: [],
    permission: 'read',
    target: 'workflow',
    apps: true,
    scopedWithoutWorkflow: false,
    ...given,
  });
const file = (...rows: readonly string[]): string => `{"methods": [\n${rows.join(',\n')}\n]}`;
const problemsOf = (text: string): readonly string[] => {
  try {
    parseCatalogue(text, 'm.json');
  } catch (error) {
    if (error instanceof CatalogueError) return error.problems;
    throw error;
  }
  return [];
};

/** Section 3 of the contract, as a person would type it from the page: spellings, then the columns. */
const TABLE: readonly (readonly [spellings: string, columns: string])[] = [
  ['nodes.list nodes.getOutput nodes.getConfig', 'read workflow apps'],
  ['nodes.get_output nodes.get_config workflow:get_node_outputs workflow:node:get_config', 'read workflow apps'],
  ['nodes.setConfig nodes.set_config workflow:node:set_config', 'write workflow apps'],
  ['execution.runNodesAndGetOutput execution.runNodesInBackground', 'execute workflow apps'],
  ['execution.run_nodes_and_get_output execution.run_nodes_in_background workflow:execute', 'execute workflow apps'],
  ['execution.stop workflow:stop', 'execute workflow apps'],
  ['state.get state.keys workflow:state:get workflow:state:keys', 'read workflow apps'],
  ['state.loadAll workflow:load_node_state', 'read workflow'],
  ['state.set state.del state.update state.delete workflow:state:set', 'write workflow apps'],
  ['state.saveAll workflow:save_node_state', 'write workflow'],
  ['auth.listCredentials auth.hasCredential', 'read optional apps scopedWithoutWorkflow'],
  ['auth.list_credentials auth.has_credential credential:list', 'read optional apps scopedWithoutWorkflow'],
  ['auth.createCredential auth.create_credential credential:create', 'write optional apps scopedWithoutWorkflow'],
  ['credentials.get credential:get', 'read optional'],
  ['credentials.update credentials.delete credential:update credential:delete', 'write optional'],
  ['resources.list resources.getUrl resources.get_url resource:list resource:download_url', 'read optional apps'],
  ['resources.get resource:get', 'read optional'],
  ['resources.upload resources.remove resource:create resource:upload_url resource:delete', 'write optional apps'],
  ['resources.fork resource:fork', 'write optional'],
  ['dataset.list dataset.getRows dataset.get_rows resource:dataset:rows', 'read optional apps'],
  ['dataset.create dataset.appendRows dataset.updateRow dataset.deleteRows', 'write optional apps'],
  ['dataset.append_rows dataset.update_row dataset.delete_rows', 'write optional apps'],
  ['resource:dataset:append resource:dataset:update_row resource:dataset:delete_rows', 'write optional apps'],
  ['workflow.getInfo workflow.get_info workflow:get', 'read workflow apps'],
  ['runs.list workflow:list_executions', 'read optional'],
  ['workflows.list workflow:list', 'read account'],
  ['workflows.create workflow:create', 'write account'],
  ['workflows.update workflows.delete workflow:update workflow:delete workflow:clear_node_state', 'write workflow'],
  ['nodes.getOutputHistory nodes.loadOptions nodes.getConfigSchema', 'read workflow'],
  ['workflow:get_node_output_history workflow:node:load_options workflow:node:get_config_schema', 'read workflow'],
];

const PERMISSION_OF = { read: Permission.READ, execute: Permission.EXECUTE, write: Permission.WRITE } as const;

describe('the shipped catalogue', () => {
  const catalogue = defaultCatalogue();
  const rows = TABLE.flatMap(([spellings, columns]) => spellings.split(' ').map((spelling) => [spelling, columns]));

  it.each(rows as [string, string][])('answers %s with: %s', (spelling, columns) => {
    const [permission, target, ...flags] = columns.split(' ') as [keyof typeof PERMISSION_OF, string, ...string[]];
    expect(catalogue.find(spelling)).toMatchObject({
      permission: PERMISSION_OF[permission],
      target,
      apps: flags.includes('apps'),
      scopedWithoutWorkflow: flags.includes('scopedWithoutWorkflow'),
    });
  });

  it('knows no spelling besides these', () => {
    expect([...catalogue.spellings].sort()).toEqual(rows.map(([spelling]) => spelling).sort());
    expect(catalogue.entries).toHaveLength(41);
  });

  it.each(['', '__proto__', 'constructor', 'toString', 'Nodes.list', 'nodes.list ', 'nodes.*', 'state.load_all'])(
    'does not know %j',
    (name) => {
      expect(catalogue.find(name)).toBeUndefined();
    },
  );

  it('reads the same from its file as from the program', () => {
    const text = readFileSync(new URL('../../src/domain/methods.json', import.meta.url), 'utf8');
    expect(parseCatalogue(text, 'methods.json').entries).toEqual(catalogue.entries);
  });
});

describe('parseCatalogue', () => {
  it.each([
    [
      'an unknown permission',
      row({ permission: 'admin' }),
      'm.json:2: "a.b": "permission" must be one of read, execute, write',
    ],
    [
      'a permission that an object inherits',
      row({ permission: 'constructor' }),
      'm.json:2: "a.b": "permission" must be one of read, execute, write',
    ],
    [
      'an unknown target',
      row({ target: 'planet' }),
      'm.json:2: "a.b": "target" must be one of workflow, optional, account',
    ],
    ['a flag that is no boolean', row({ apps: 'yes' }), 'm.json:2: "a.b": "apps" must be true or false'],
    ['an unknown field', row({ scope: 1 }), 'm.json:2: unknown field "scope"'],
    ['a missing field', row({ apps: undefined }), 'm.json:2: "a.b" lacks the field "apps"'],
    ['an empty name', row({ name: '' }), 'm.json:2: "": "name" must be a string of 1 to 200 characters'],
    ['aliases that are no array', row({ aliases: 'x' }), 'm.json:2: "a.b": "aliases" must be an array of strings'],
    [
      'an alias that is no string',
      row({ aliases: [7] }),
      'm.json:2: "a.b": each alias must be a string of 1 to 200 characters',
    ],
    ['an alias given twice', row({ aliases: ['x', 'x'] }), 'm.json:2: "a.b": the alias "x" is given twice'],
    ['its own name as alias', row({ aliases: ['a.b'] }), 'm.json:2: "a.b": the alias "a.b" is given twice'],
    [
      'a contradiction',
      row({ scopedWithoutWorkflow: true }),
      'm.json:2: "a.b": "scopedWithoutWorkflow" contradicts the target "workflow"',
    ],
  ])('refuses %s and names the line', (_what, text, problem) => {
    expect(problemsOf(file(text))).toEqual([problem]);
  });

  it('refuses a duplicate name and names both lines', () => {
    expect(problemsOf(file(row({}), row({ name: 'c' }), row({})))).toEqual([
      'm.json:4: duplicate name "a.b", first given on line 2',
    ]);
  });

  it.each(['permission', 'target', 'apps', 'scopedWithoutWorkflow'])(
    'refuses an alias that is shared by methods which disagree in %s',
    (column) => {
      const base = { target: 'optional', aliases: ['shared'] };
      const other = { permission: 'write', target: 'account', apps: false, scopedWithoutWorkflow: true };
      const changed = { [column]: other[column as keyof typeof other] };
      expect(problemsOf(file(row({ ...base, name: 'a' }), row({ ...base, name: 'b', ...changed })))).toEqual([
        `m.json:3: "shared" is shared by "b" and "a" (line 2), which disagree in "${column}"`,
      ]);
    },
  );

  it('refuses an alias that is the name of a method which disagrees', () => {
    expect(problemsOf(file(row({ name: 'a' }), row({ name: 'b', permission: 'write', aliases: ['a'] })))).toEqual([
      'm.json:3: "a" is shared by "b" and "a" (line 2), which disagree in "permission"',
    ]);
  });

  it('gives one answer to an alias that agreeing methods share', () => {
    const catalogue = parseCatalogue(file(row({ name: 'a', aliases: ['s'] }), row({ name: 'b', aliases: ['s'] })), 'm');
    expect(catalogue.find('s')).toMatchObject({ permission: Permission.READ, target: 'workflow' });
  });

  it('reports every problem at once, in the order of the lines', () => {
    const text = file(
      row({ name: 'a', permission: 'x' }),
      row({ name: 'b', target: 'x', more: 1 }),
      row({ name: 'a' }),
    );
    expect(problemsOf(text).map((problem) => problem.split(':')[1])).toEqual(['2', '3', '3', '4']);
  });

  it.each([
    ['nothing', ''],
    ['a broken file', '{"methods": ['],
    ['an array', '[]'],
    ['no methods', '{}'],
    ['an empty list', '{"methods": []}'],
    ['a field twice', '{"methods": [], "methods": []}'],
    ['a method that is no object', '{"methods": [1]}'],
    ['another top-level field', `{"methods": [${row({})}], "version": 2}`],
    ['a method that refers to another', `methods:\n  - &a ${row({})}\n  - *a`],
  ])('refuses %s', (_what, text) => {
    expect(problemsOf(text)).not.toEqual([]);
  });
});
