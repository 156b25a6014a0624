import type { SessionSource } from '../../ports/session-source.js';
import { FIND_SESSION } from './queries.js';
import { textOf } from './rows.js';
import type { QueryRunner } from './run-query.js';

/** Looks up opaque browser sessions in `latchkey.sessions`, the platform's table or view. */
export class PostgresSessionSource implements SessionSource {
  constructor(private readonly runner: QueryRunner) {}

  async accountOf(tokenHash: Uint8Array): Promise<string | null> {
    const [row] = await this.runner.run(FIND_SESSION, [Buffer.from(tokenHash)]);
    return row === undefined ? null : textOf(row, 'account_id');
  }
}
