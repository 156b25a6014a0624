import { Failure } from '../../domain/failure.js';
import type { BulkSource } from '../../ports/bulk-source.js';
import type { Logger } from '../../ports/logger.js';
import { FIND_WORKFLOW_OWNER, FIND_WORKFLOW_OWNERS } from './queries.js';
import { isStorable, textOf } from './rows.js';
import type { QueryRunner } from './run-query.js';

/**
 * Reads the accounts that own workflows from the primary, many in one statement. `latchkey.workflows` may be the
 * platform's view. A standby rejects with `unavailable`.
 */
export class PostgresWorkflowSource implements BulkSource<string, string> {
  constructor(
    private readonly runner: QueryRunner,
    private readonly logger: Logger,
  ) {}

  async readMany(workflowIds: readonly string[]): Promise<readonly (string | null)[]> {
    // One id that the database cannot hold would fail the statement for all the others.
    const askable = workflowIds.filter(isStorable);
    if (askable.length === 0) return workflowIds.map(() => null);
    const owners = new Map<string, string>();
    const rows = await (askable.length === 1
      ? this.runner.run(FIND_WORKFLOW_OWNER, askable)
      : this.runner.run(FIND_WORKFLOW_OWNERS, [askable]));
    for (const row of rows) {
      if (row.id === null) throw new Failure('unavailable', 'The database is a standby; it cannot be asked.');
      try {
        owners.set(textOf(row, 'id'), textOf(row, 'account_id'));
      } catch (error) {
        this.logger.error('a row of workflows cannot be read; the workflow is treated as absent', { error });
      }
    }
    return workflowIds.map((id) => owners.get(id) ?? null);
  }
}
