import type { ApiKey, Workflow } from './api.js';

/** What is known of the workflows that keys name. */
export interface WorkflowNames {
  /** Names of the account's workflows by id. */
  readonly names: ReadonlyMap<string, string>;
  /** Ids that a key names and no workflow has any more. */
  readonly deleted: ReadonlySet<string>;
}

/**
 * Tells the deleted workflows from those that are only newer than the list.
 *
 * @param keys what was listed before `found` was asked for: a workflow that one of them names existed then, so that it
 *   is deleted if it is not found
 */
export function workflowNames(found: readonly Workflow[], keys: readonly ApiKey[]): WorkflowNames {
  const names = new Map(found.map(({ id, name }) => [id, name]));
  return { names, deleted: new Set(scopesOf(keys).filter((id) => !names.has(id))) };
}

/** Whether a key names a workflow of which nothing is known yet. */
export function namesUnknownWorkflow(keys: readonly ApiKey[], { names, deleted }: WorkflowNames): boolean {
  return scopesOf(keys).some((id) => !names.has(id) && !deleted.has(id));
}

function scopesOf(keys: readonly ApiKey[]): readonly string[] {
  return keys.flatMap(({ workflow_id }) => workflow_id ?? []);
}
