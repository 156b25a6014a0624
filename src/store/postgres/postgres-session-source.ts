import { FIND_SESSION } from './queries.js';
import { textOf } from './rows.js';
import type { QueryRunner } from './run-query.js';

/** Looks up opaque browser sessions in `latchkey.sessions`, the platform's table or view. */
export class PostgresSessionSource {
  constructor(private readonly runner: QueryRunner) {}

  /**
   * The account of the session whose token has this SHA-256, or `null` when there is none or it has expired (by the
   * database's clock). Rejects with a `Failure` when it cannot know.
   */
  async accountOf(tokenHash: Uint8Array): Promise<string | null> {
    const [row] = await this.runner.run(FIND_SESSION, [Buffer.from(tokenHash)]);
    return row === undefined ? null : textOf(row, 'account_id');
  }
}
