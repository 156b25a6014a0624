import { Failure } from '../../domain/failure.js';
import type { HistoryEvent, Position } from '../../domain/history-event.js';
import type { BarrierReading, History, HistoryReading, Renewal, SidecarRow } from '../../ports/history.js';
import type { Logger } from '../../ports/logger.js';
import {
  ACKNOWLEDGE,
  DEREGISTER_SIDECAR,
  FORGET_SIDECARS,
  READ_BARRIER,
  READ_HISTORY,
  REGISTER_SIDECAR,
  RENEW_SIDECAR,
  RESTORE_HEAD,
} from './queries.js';
import {
  bigintOf,
  booleanOf,
  headOf,
  historyEventOf,
  nullableTextOf,
  numberOf,
  textOf,
  UnexpectedRow,
} from './rows.js';
import type { QueryRunner, Row, Statement } from './run-query.js';

/**
 * The coherence protocol's shared memory in schema `latchkey` of the primary.
 *
 * Writes are refused by a standby itself; readings name the server's state in the same statement and reject.
 * A `head` that somebody deleted is made again, with a gap before it, by whoever misses it first.
 */
export class PostgresHistory implements History {
  constructor(
    private readonly runner: QueryRunner,
    private readonly logger: Logger,
  ) {}

  async register(renewal: Renewal): Promise<void> {
    await this.runner.run(REGISTER_SIDECAR, parametersOf(renewal));
  }

  async renew(renewal: Renewal): Promise<boolean> {
    return (await this.runner.run(RENEW_SIDECAR, parametersOf(renewal))).length > 0;
  }

  async readHistory(after: Position | null, limit: number): Promise<HistoryReading> {
    const { head, first, rows } = await this.#readWithHead(READ_HISTORY, [after?.sequence ?? null, limit]);
    const tokenAtPosition = nullableTextOf(first, 'token_at_position');
    return {
      head,
      tokenAtPosition,
      lineage: nullableTextOf(first, 'lineage'),
      events: rows.map(historyEventOf).filter((event): event is HistoryEvent => event !== null),
      overLimit: booleanOf(first, 'over_limit'),
      databaseNowMs: numberOf(first, 'now_ms'),
    };
  }

  async acknowledge(sidecarId: string, position: Position): Promise<boolean> {
    return (await this.runner.run(ACKNOWLEDGE, [sidecarId, position.sequence, position.token])).length > 0;
  }

  async deregister(sidecarId: string): Promise<void> {
    await this.runner.run(DEREGISTER_SIDECAR, [sidecarId]);
  }

  async readBarrier(): Promise<BarrierReading> {
    const { head, rows } = await this.#readWithHead(READ_BARRIER, []);
    return { head, sidecars: rows.filter((row) => row.id !== null).map(sidecarOf) };
  }

  async forget(rows: readonly Pick<SidecarRow, 'id' | 'renewals'>[]): Promise<void> {
    if (rows.length === 0) return;
    await this.runner.run(FORGET_SIDECARS, [rows.map((row) => row.id), rows.map((row) => row.renewals)]);
  }

  /** Runs a reading that gives the head; where there is none, makes one and reads again. */
  async #readWithHead(statement: Statement, values: readonly unknown[]) {
    for (let restored = false; ; restored = true) {
      const rows: readonly Row[] = await this.runner.run(statement, values);
      const [first] = rows;
      if (first === undefined) throw new UnexpectedRow('sequence');
      if (booleanOf(first, 'standby'))
        throw new Failure('unavailable', 'The database is a standby; it cannot be asked.');
      const head = headOf(first);
      if (head !== null) return { head, first, rows };
      if (restored) throw new Failure('unavailable', 'The history of changes has no head; try again.');
      this.logger.error('latchkey.head was empty: somebody deleted it. It is made again and every sidecar starts over');
      await this.runner.run(RESTORE_HEAD);
    }
  }
}

function parametersOf({ sidecarId, attempt, leaseMs, position }: Renewal): readonly unknown[] {
  return [sidecarId, attempt, Math.ceil(leaseMs), position?.sequence ?? null, position?.token ?? null];
}

function sidecarOf(row: Row): SidecarRow {
  return {
    id: textOf(row, 'id'),
    renewals: Number(bigintOf(row, 'renewals')),
    leaseMs: Number(bigintOf(row, 'lease_ms')),
    appliedSequence: bigintOf(row, 'applied_sequence'),
  };
}
