import type pg from 'pg';
import { Failure } from '../../domain/failure.js';
import type { Clock, Timers } from '../../ports/clock.js';
import type { Logger } from '../../ports/logger.js';
import type { Metrics } from '../../ports/metrics.js';
import { pause } from '../../ports/pause.js';
import { cancelStatement } from './cancel-statement.js';
import { driverFailure, isSessionSound, sqlStateOf } from './driver-failure.js';

/** One statement of queries.ts. */
export interface Statement {
  /** Constant name: label of metrics and, when `prepared`, of the prepared statement. */
  readonly operation: string;
  readonly text: string;
  /** Parse once a connection and keep the plan: for what runs often. */
  readonly prepared?: boolean;
  /** The answer counts only if its commit was confirmed, replication included. */
  readonly durable?: boolean;
  /** Measured elsewhere; not reported as `databaseCall`. */
  readonly unmeasured?: boolean;
  /** Longest time from the call to the answer, in ms; default {@link STATEMENT_DEADLINE_MS}. */
  readonly deadlineMs?: number;
}

/** A row by column name, as the driver parsed it. */
export type Row = Readonly<Record<string, unknown>>;

/** Runs one statement. */
export type RunStatement = (statement: Statement, values?: readonly unknown[]) => Promise<readonly Row[]>;

/** Default deadline of a statement, in ms, the wait for a connection included. */
export const STATEMENT_DEADLINE_MS = 2_000;

/** Deadline of one attempt of a transaction, in ms. */
export const TRANSACTION_DEADLINE_MS = 10_000;

/** Most calls that may wait for a connection; more are shed. */
const WAITING_MAX = 4_096;

/** Attempts of a transaction that PostgreSQL breaks off to let another one through. */
const CONFLICT_ATTEMPTS = 6;

/** Pause before the second attempt, in ms; doubles each time, times 0.5 to 1 by chance. */
const CONFLICT_BACKOFF_MS = 10;

// deadlock_detected, serialization_failure: nothing was committed, and trying again is the documented answer.
const CONFLICTS: ReadonlySet<string> = new Set(['40P01', '40001']);

// invalid_sql_statement_name, duplicate_prepared_statement: what a transaction pooler without support for prepared
// statements (PgBouncer before 1.21, or max_prepared_statements = 0) makes of them. Raised before anything has run.
const UNPREPARABLE: ReadonlySet<string> = new Set(['26000', '42P05']);

// Server-side bounds as well, so that a transaction whose client has vanished does not keep its row locks. SET LOCAL
// ends with the transaction, hence is safe behind a transaction pooler; so is a commit level chosen by set_config.
const BEGIN = `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL statement_timeout = ${TRANSACTION_DEADLINE_MS};
SET LOCAL idle_in_transaction_session_timeout = ${TRANSACTION_DEADLINE_MS};
SELECT latchkey.require_durable_commit()`;

/** What {@link QueryRunner} is made of. */
export interface QueryRunnerParts {
  readonly pool: pg.Pool;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly metrics: Pick<Metrics, 'databaseCall'>;
  readonly logger: Logger;
  /** A number from 0 to 1 by chance, for pauses; default `Math.random`. */
  readonly random?: () => number;
}

/**
 * Runs statements on a pool. The one place where deadlines are kept, driver errors become `Failure`s, conflicts are
 * retried and a commit is judged.
 *
 * A client whose statement ran past its deadline is destroyed, never returned: its answer could meet the next question.
 */
export class QueryRunner {
  readonly #parts: QueryRunnerParts;
  #preparing = true;

  constructor(parts: QueryRunnerParts) {
    this.#parts = parts;
  }

  /** Runs one statement in a transaction of its own. Rejects with a `Failure` within the statement's deadline. */
  readonly run: RunStatement = async (statement, values = []) => {
    const { clock, metrics } = this.#parts;
    const startedAtMs = clock.monotonicMs();
    const attempt = () =>
      this.#withClient(statement.deadlineMs ?? STATEMENT_DEADLINE_MS, (client) =>
        statement.durable
          ? confirmed(client, () => this.#send(client, statement, values))
          : this.#send(client, statement, values),
      );
    let outcome: 'ok' | Failure['kind'] = 'ok';
    try {
      const { rows } = await this.#retryConflicts(async () => {
        try {
          return await attempt();
        } catch (error) {
          if (!this.#stopPreparing(error)) throw error;
          return await attempt();
        }
      });
      return rows;
    } catch (error) {
      const failure = driverFailure(error);
      outcome = failure.kind;
      throw failure;
    } finally {
      if (!statement.unmeasured) {
        metrics.databaseCall(statement.operation, (clock.monotonicMs() - startedAtMs) / 1000, outcome);
      }
    }
  };

  /**
   * Runs `work` in one READ COMMITTED transaction with `synchronous_commit` at least `on`, again from the start when it
   * meets a deadlock or a serialization failure. `work` must not remember anything between attempts.
   *
   * Resolves only after a COMMIT that was confirmed. Rejects with the `Failure` that `work` threw (rolled back), or with
   * one of the database; `unavailable` and `deadline-exceeded` leave it unknown whether the transaction took effect.
   */
  async transact<T>(operation: string, work: (run: RunStatement) => Promise<T>): Promise<T> {
    const { clock, metrics } = this.#parts;
    const startedAtMs = clock.monotonicMs();
    let outcome: 'ok' | Failure['kind'] = 'ok';
    try {
      return await this.#retryConflicts(() =>
        this.#withClient(TRANSACTION_DEADLINE_MS, async (client) => {
          let result: T;
          try {
            await client.query(BEGIN);
            result = await work(async (statement, values = []) => {
              const unnamed = { ...statement, prepared: false };
              return (await this.#send(client, unnamed, values)).rows;
            });
          } catch (error) {
            await client.query('ROLLBACK');
            throw error;
          }
          const { command } = await confirmed(client, () => client.query('COMMIT'));
          // A transaction that failed inside answers COMMIT with ROLLBACK, without an error.
          if (command !== 'COMMIT') throw new Failure('unavailable', 'The change was not made; try again.');
          return result;
        }),
      );
    } catch (error) {
      const failure = driverFailure(error);
      outcome = failure.kind;
      throw failure;
    } finally {
      metrics.databaseCall(operation, (clock.monotonicMs() - startedAtMs) / 1000, outcome);
    }
  }

  #send(client: pg.PoolClient, { operation, text, prepared }: Statement, values: readonly unknown[]) {
    const named = prepared === true && this.#preparing;
    return client.query<Record<string, unknown>>({
      text,
      values: values as unknown[],
      ...(named ? { name: `latchkey_${operation}` } : {}),
    });
  }

  /** Reports whether the error says that statements cannot be prepared here, and has them sent unprepared from now on. */
  #stopPreparing(error: unknown): boolean {
    if (!UNPREPARABLE.has(sqlStateOf(error))) return false;
    if (this.#preparing) {
      this.#preparing = false;
      this.#parts.logger.warn('the pooler in front of the database does not keep prepared statements; doing without');
    }
    return true;
  }

  async #retryConflicts<T>(attempt: () => Promise<T>): Promise<T> {
    const { timers, random = Math.random } = this.#parts;
    for (let count = 1; ; count++) {
      try {
        return await attempt();
      } catch (error) {
        if (count === CONFLICT_ATTEMPTS || !CONFLICTS.has(sqlStateOf(error))) throw error;
        const pauseMs = CONFLICT_BACKOFF_MS * 2 ** (count - 1) * (0.5 + random() / 2);
        await pause(timers, pauseMs);
      }
    }
  }

  /** Lends a client to `work` until the deadline, which covers the wait for the client too. */
  async #withClient<T>(deadlineMs: number, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const { pool, timers } = this.#parts;
    if (pool.waitingCount >= WAITING_MAX) {
      throw new Failure('overloaded', 'Too many requests wait for the database; try again later.');
    }
    let overdue = false;
    let lent: pg.PoolClient | null = null;
    const giveBack = (destroy: boolean) => {
      const client = lent;
      lent = null;
      client?.release(destroy);
    };
    const use = async () => {
      const client = await pool.connect();
      lent = client;
      if (overdue) {
        giveBack(false);
        throw new Failure('deadline-exceeded', 'The database did not answer in time.');
      }
      try {
        const result = await work(client);
        giveBack(false);
        return result;
      } catch (error) {
        giveBack(!isSessionSound(error));
        throw error;
      }
    };
    return await new Promise<T>((resolve, reject) => {
      const cancel = timers.after(deadlineMs, () => {
        overdue = true;
        if (lent !== null) cancelStatement(lent);
        giveBack(true);
        reject(new Failure('deadline-exceeded', 'The database did not answer in time.'));
      });
      use().then(
        (value) => {
          cancel();
          resolve(value);
        },
        (error: unknown) => {
          cancel();
          reject(error);
        },
      );
    });
  }
}

/**
 * Rejects when the server committed here but gave up waiting for its synchronous standby: it says so in a warning only.
 * The warning comes before the statement's own end, so that it has been seen once `commit` resolves.
 */
async function confirmed<T>(client: pg.PoolClient, commit: () => Promise<T>): Promise<T> {
  let unreplicated = false;
  const onNotice = (notice: { readonly routine?: string | undefined; readonly message?: string | undefined }) => {
    // The routine's name is the same in every language of the server; the text is for builds that leave it out.
    if (notice.routine === 'SyncRepWaitForLSN' || notice.message?.includes('synchronous replication')) {
      unreplicated = true;
    }
  };
  client.on('notice', onNotice);
  try {
    const result = await commit();
    if (unreplicated) {
      throw new Failure('unavailable', 'The change may not have reached the standby; repeat it to be sure.');
    }
    return result;
  } finally {
    client.off('notice', onNotice);
  }
}
