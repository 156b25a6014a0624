/** Who calls, as Latchkey knows it, and on which workflow. */
export interface Caller {
  readonly accountId: string;
  /** The one workflow the key may act on, or `''`. */
  readonly scope: string;
  /** The workflow that the call is about, decided on by Latchkey; `''` when it names none. */
  readonly workflowId: string;
}

/** What a call comes to. */
export type Result = { readonly data: unknown } | { readonly error: string };

/** The platform behind the gateway. It is asked only after Latchkey has allowed the call. */
export interface Backend {
  /** The workflow that owns a resource, or `null` when there is no such resource. */
  workflowOfResource(resourceId: string): string | null;
  call(
    event: string,
    fields: Readonly<Record<string, unknown>>,
    caller: Caller,
    push: (event: string, payload: unknown) => void,
  ): Result;
}

interface Node {
  readonly id: string;
  readonly type: string;
  config: unknown;
  output: unknown;
}

interface Workflow {
  readonly id: string;
  readonly name: string;
  readonly accountId: string;
  readonly nodes: readonly Node[];
  readonly state: Map<string, unknown>;
}

/** A platform in memory, with the workflows that the embedded default of Latchkey seeds. */
export class ExampleBackend implements Backend {
  private readonly workflows = new Map<string, Workflow>(
    (
      [
        ['00000000-0000-4000-8000-000000000001', 'Nightly report', 'dev'],
        ['00000000-0000-4000-8000-000000000002', 'Lead intake', 'dev'],
        ['00000000-0000-4000-8000-000000000003', 'Payroll', 'other'],
      ] as const
    ).map(([id, name, accountId]) => [id, workflowOf(id, name, accountId)]),
  );

  workflowOfResource(resourceId: string): string | null {
    for (const { id } of this.workflows.values()) if (resourceIdOf(id) === resourceId) return id;
    return null;
  }

  call(
    event: string,
    fields: Readonly<Record<string, unknown>>,
    caller: Caller,
    push: (event: string, payload: unknown) => void,
  ): Result {
    const workflow = this.workflows.get(caller.workflowId);
    if (workflow !== undefined) return callWorkflow(event, fields, workflow, push);
    switch (event) {
      case 'workflow:list':
        return { data: { workflows: this.visible(caller).map(({ id, name }) => ({ id, name })) } };
      case 'credential:list':
        return { data: { credentials: [] } };
      case 'resource:list':
        return { data: { resources: this.visible(caller).map(({ id }) => resourceOf(id)) } };
      default:
        return { error: `This example does not do ${event}` };
    }
  }

  /** What an answer without a named workflow may hold: the account's, within the scope of the key. */
  private visible({ accountId, scope }: Caller): readonly Workflow[] {
    return [...this.workflows.values()].filter(
      (workflow) => workflow.accountId === accountId && (scope === '' || workflow.id === scope),
    );
  }
}

function callWorkflow(
  event: string,
  fields: Readonly<Record<string, unknown>>,
  workflow: Workflow,
  push: (event: string, payload: unknown) => void,
): Result {
  const { id, name, nodes, state } = workflow;
  const node = nodes.find((candidate) => candidate.id === fields['node_id']);
  switch (event) {
    case 'workflow:get':
      return { data: { workflow: { id, name, workflow_data: { nodes } } } };
    case 'workflow:get_node_outputs':
      return { data: { outputs: Object.fromEntries(nodes.map(({ id: nodeId, output }) => [nodeId, { output }])) } };
    case 'workflow:node:get_config':
      return node === undefined ? { error: 'No such node' } : { data: { config: node.config } };
    case 'workflow:node:set_config':
      if (node === undefined) return { error: 'No such node' };
      node.config = fields['config'];
      return { data: { config: node.config } };
    case 'workflow:execute':
      for (const { id: nodeId } of nodes) {
        push('workflow:node:output', { node_id: nodeId, output: `${name}: ${nodeId} has run` });
      }
      push('workflow:complete', { workflow_id: id });
      return { data: { started: true } };
    case 'workflow:stop':
      return { data: { stopped: true } };
    case 'workflow:load_node_state':
    case 'workflow:state:get':
    case 'workflow:state:keys':
      return { data: { state: Object.fromEntries(state) } };
    case 'workflow:save_node_state':
    case 'workflow:state:set':
      for (const [key, value] of Object.entries(fields['state'] ?? {})) {
        if (value === null) state.delete(key);
        else state.set(key, value);
      }
      return { data: { state: Object.fromEntries(state) } };
    case 'resource:list':
      return { data: { resources: [resourceOf(id)] } };
    case 'resource:download_url':
      return { data: { download_url: `https://files.example.com/${resourceIdOf(id)}` } };
    default:
      return { error: `This example does not do ${event}` };
  }
}

function workflowOf(id: string, name: string, accountId: string): Workflow {
  const nodes = ['fetch', 'send'].map((nodeId) => ({
    id: nodeId,
    type: 'http',
    config: {},
    output: `${name}: ${nodeId}`,
  }));
  return { id, name, accountId, nodes, state: new Map([['runs', 7]]) };
}

function resourceIdOf(workflowId: string): string {
  return `resource-of-${workflowId}`;
}

function resourceOf(workflowId: string): Readonly<Record<string, unknown>> {
  return {
    id: resourceIdOf(workflowId),
    name: 'report.csv',
    resource_type: 'file',
    mime_type: 'text/csv',
    size_bytes: 42,
  };
}
