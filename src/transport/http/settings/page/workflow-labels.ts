import type { Workflow } from './api.js';

/** What stands for the scope of a key that is not tied to one workflow. */
export const ALL_WORKFLOWS = 'All workflows';

/** Texts that tell workflows apart: their names, with the beginning of the id where two share one. */
export function workflowLabels(
  workflows: readonly Workflow[],
): readonly { readonly id: string; readonly label: string }[] {
  const count = new Map<string, number>();
  for (const { name } of workflows) count.set(name, (count.get(name) ?? 0) + 1);
  return workflows.map(({ id, name }) => {
    if (name.trim() === '') return { id, label: id };
    return { id, label: (count.get(name) ?? 0) > 1 ? `${name} (${id.slice(0, 8)})` : name };
  });
}
