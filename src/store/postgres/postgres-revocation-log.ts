import { Failure } from '../../domain/failure.js';
import type { HistoryEvent } from '../../domain/history-event.js';
import type { RevocationLog, RevocationPage } from '../../ports/revocation-log.js';
import { READ_REVOCATIONS } from './queries.js';
import { bigintOf, booleanOf, headOf, historyEventOf } from './rows.js';
import type { QueryRunner } from './run-query.js';

/** Reads committed events in order from `latchkey.events`. A standby, or a missing head, rejects with `unavailable`. */
export class PostgresRevocationLog implements RevocationLog {
  constructor(private readonly runner: QueryRunner) {}

  async readAfter(sequence: bigint, limit: number): Promise<RevocationPage> {
    const rows = await this.runner.run(READ_REVOCATIONS, [sequence, limit]);
    const [first] = rows;
    const head = first === undefined || booleanOf(first, 'standby') ? null : headOf(first);
    if (first === undefined || head === null) {
      throw new Failure('unavailable', 'The history of changes cannot be read now; try again.');
    }
    return {
      events: rows.map(historyEventOf).filter((event): event is HistoryEvent => event !== null),
      headSequence: head.sequence,
      oldestSequence: bigintOf(first, 'oldest_sequence'),
    };
  }
}
