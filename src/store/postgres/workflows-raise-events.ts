import { WORKFLOWS_RAISE_EVENTS } from './queries.js';
import { booleanOf } from './rows.js';
import type { QueryRunner } from './run-query.js';

/**
 * Reports whether a workflow that changes hands is told to sidecars: `latchkey.workflows` is the shipped table with its
 * triggers. A view, or a table that replaced it, has none, and what is remembered of it must not outlive a lease.
 *
 * Rejects with a `Failure`.
 */
export async function workflowsRaiseEvents(runner: QueryRunner): Promise<boolean> {
  const [row] = await runner.run(WORKFLOWS_RAISE_EVENTS);
  return row !== undefined && booleanOf(row, 'raise_events');
}
