import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { ChangeFeed } from '../../ports/change-feed.js';
import type { CancelTimer, Clock, Timers } from '../../ports/clock.js';
import type { Logger } from '../../ports/logger.js';
import type { Metrics } from '../../ports/metrics.js';
import { DatabaseFault, driverFailure } from './driver-failure.js';

// States of the one connection, and what leads from one to the next:
//
//   stopped ──start──▶ connecting ──connected, LISTEN in force and proven──▶ listening
//                        ▲    │ any failure, or the deadline                   │ any failure, a heartbeat without an
//                        │    ▼                                                │ answer, or LISTEN no longer in force
//                        └─ waiting ◀──────────────────────────────────────────┘
//                           (backoff, for ever)
//
//   stop, in any state: the socket is destroyed, timers are cancelled, the state is stopped.
//
// Each connection is an object of its own, and what arrives from one that is no longer the current one is ignored.
type State = 'stopped' | 'connecting' | 'listening' | 'waiting';

/** The channel that the schema's triggers notify. */
export const CHANNEL = 'latchkey_events';

/** Pause between heartbeats, in ms. Far below the idle limits of NAT and load balancers (from 60 s). */
const HEARTBEAT_MS = 5_000;

/** Longest wait for one answer on the connection, in ms: connecting, LISTEN, a heartbeat. */
const DEADLINE_MS = 3_000;

/** First pause before a reconnection, in ms; doubles up to {@link BACKOFF_MAX_MS}, times 0.5 to 1 by chance. */
const BACKOFF_MS = 100;
const BACKOFF_MAX_MS = 10_000;

/** Pause, in ms, before a pooler that cannot LISTEN is tried again: somebody may have changed its mode. */
const DEAF_RETRY_MS = 60_000;

/** LISTEN is accepted, but not in force: a transaction pooler stands between. */
class ListenImpossible extends Error {
  override readonly name = 'ListenImpossible';
}

/** What {@link PostgresChangeFeed} is made of. */
export interface ChangeFeedParts {
  /** A direct connection to the primary. */
  readonly url: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'listenerConnected'>;
  /** Shown in `pg_stat_activity`; default `latchkey-listen`. */
  readonly applicationName?: string;
  readonly heartbeatMs?: number;
  readonly deadlineMs?: number;
  /** A number from 0 to 1 by chance; default `Math.random`. */
  readonly random?: () => number;
}

/**
 * LISTENs on a dedicated connection that cannot lie for long: every answer has a deadline on this side, TCP keep-alive
 * finds a dead peer, and each heartbeat asks the same session whether it still listens.
 *
 * Where LISTEN is impossible (a transaction pooler) it warns once and stays unconnected; nothing but promptness is lost.
 */
export class PostgresChangeFeed implements ChangeFeed {
  readonly #parts: Required<ChangeFeedParts>;
  #state: State = 'stopped';
  #client: pg.Client | null = null;
  #cancelTimer: CancelTimer = () => {};
  #onHint: () => void = () => {};
  #failures = 0;
  #provenAtMs = Number.NEGATIVE_INFINITY;
  #warnedDeaf = false;

  constructor(parts: ChangeFeedParts) {
    this.#parts = {
      applicationName: 'latchkey-listen',
      heartbeatMs: HEARTBEAT_MS,
      deadlineMs: DEADLINE_MS,
      random: Math.random,
      ...parts,
    };
  }

  get connected(): boolean {
    const { clock, heartbeatMs, deadlineMs } = this.#parts;
    return this.#state === 'listening' && clock.monotonicMs() - this.#provenAtMs <= heartbeatMs + deadlineMs;
  }

  start(onHint: () => void): void {
    if (this.#state !== 'stopped') return;
    this.#onHint = onHint;
    this.#failures = 0;
    this.#connect();
  }

  async stop(): Promise<void> {
    this.#enter('stopped');
    this.#cancelTimer();
    const client = this.#client;
    this.#client = null;
    if (client !== null) await destroyed(client);
  }

  #enter(state: State): void {
    const was = this.#state;
    this.#state = state;
    if (state === 'listening') this.#parts.metrics.listenerConnected(true);
    else if (was === 'listening' || was === 'stopped') this.#parts.metrics.listenerConnected(false);
  }

  #connect(): void {
    const { url, applicationName, deadlineMs, logger } = this.#parts;
    this.#enter('connecting');
    let client: pg.Client;
    try {
      client = new pg.Client({
        connectionString: url,
        application_name: applicationName,
        connectionTimeoutMillis: deadlineMs,
        keepAlive: true,
        keepAliveInitialDelayMillis: 10_000,
      });
    } catch (error) {
      this.#retry(error);
      return;
    }
    this.#client = client;
    // Known before it connects, so that `stop` can end a connection that is being made.
    client.on('error', (error) => this.#fail(client, error));
    client.on('end', () => this.#fail(client, new Error('the connection ended')));
    client.on('notification', () => {
      if (this.#client === client) this.#hint();
    });
    this.#listen(client).then(
      () => {
        if (this.#client !== client) return;
        this.#failures = 0;
        this.#enter('listening');
        logger.info('listening for changes');
        this.#scheduleHeartbeat(client);
        this.#hint();
      },
      (error: unknown) => this.#fail(client, error),
    );
  }

  /** Resolves once LISTEN is in force on this very session. */
  async #listen(client: pg.Client): Promise<void> {
    await this.#within(client.connect());
    // PostgreSQL releases of before November 2025 could leave a listener deaf when the queue's tail was lost; this reads it.
    await this.#within(client.query('SELECT pg_notification_queue_usage()'));
    await this.#within(client.query(`LISTEN ${CHANNEL}`));
    const pid = await this.#prove(client);
    // A pooler gives its clients a process number of its own.
    if (pid !== (client as pg.Client & { readonly processID?: number }).processID)
      await this.#proveThroughPooler(client);
  }

  /** Asks the session whether it listens; returns the number of the server's process. */
  async #prove(client: pg.Client): Promise<number> {
    const askedAtMs = this.#parts.clock.monotonicMs();
    const { rows } = await this.#within(
      client.query<{ listening: boolean; pid: number }>(
        `SELECT pg_backend_pid() AS pid,
                EXISTS (SELECT FROM pg_listening_channels() AS c WHERE c = '${CHANNEL}') AS listening`,
      ),
    );
    if (rows[0]?.listening !== true) throw new ListenImpossible('LISTEN is not in force on this session');
    this.#provenAtMs = askedAtMs;
    return rows[0].pid;
  }

  /**
   * A pooler that lends sessions passes notifications on; one that lends transactions may even seem to listen. A
   * notification from another connection, while this one idles, tells them apart.
   */
  async #proveThroughPooler(client: pg.Client): Promise<void> {
    const probe = randomUUID();
    const { url, applicationName, deadlineMs } = this.#parts;
    const heard = new Promise<void>((resolve) => {
      client.on('notification', ({ payload }) => {
        if (payload === probe) resolve();
      });
    });
    const sender = new pg.Client({
      connectionString: url,
      application_name: applicationName,
      connectionTimeoutMillis: deadlineMs,
    });
    sender.on('error', () => {});
    try {
      await this.#within(sender.connect());
      await this.#within(sender.query('SELECT pg_notify($1, $2)', [CHANNEL, probe]));
      await this.#within(heard).catch(() => {
        throw new ListenImpossible('a notification did not come through');
      });
    } finally {
      await destroyed(sender);
    }
  }

  #scheduleHeartbeat(client: pg.Client): void {
    this.#cancelTimer = this.#parts.timers.after(this.#parts.heartbeatMs, () => {
      this.#prove(client).then(
        () => {
          if (this.#client === client) this.#scheduleHeartbeat(client);
        },
        (error: unknown) => this.#fail(client, error),
      );
    });
  }

  #hint(): void {
    try {
      this.#onHint();
    } catch (error) {
      this.#parts.logger.error('the reader of changes threw', { error });
    }
  }

  #fail(client: pg.Client, error: unknown): void {
    if (this.#client !== client) return;
    this.#client = null;
    void destroyed(client);
    this.#retry(error);
  }

  #retry(error: unknown): void {
    const { logger, timers, random } = this.#parts;
    const wasListening = this.#state === 'listening';
    this.#enter('waiting');
    this.#cancelTimer();
    // A session that did listen has lost it, which a new connection mends; one that never could will not soon.
    const deaf = error instanceof ListenImpossible && !wasListening;
    const cappedMs = deaf ? DEAF_RETRY_MS : Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** Math.min(this.#failures, 20));
    this.#failures++;
    if (deaf && !this.#warnedDeaf) {
      this.#warnedDeaf = true;
      logger.warn(
        'LISTEN does not work on this connection; changes are found by lease renewal alone. ' +
          'Set LATCHKEY_LISTEN_DATABASE_URL to a direct connection',
      );
    } else if (!deaf && (wasListening || this.#failures === 1)) {
      const cause = driverFailure(error).cause;
      logger.warn('lost the connection that listens for changes; reconnecting', {
        error: cause instanceof DatabaseFault ? cause : undefined,
      });
    }
    this.#cancelTimer = timers.after(cappedMs * (0.5 + random() / 2), () => this.#connect());
  }

  /** Rejects when the answer is not there in time; the caller then destroys the connection. */
  #within<T>(answer: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const cancel = this.#parts.timers.after(this.#parts.deadlineMs, () => reject(new Error('no answer in time')));
      answer.then(
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
 * Destroys the socket without a farewell, which a half-open connection would never finish, and resolves when it is
 * closed.
 */
function destroyed(client: pg.Client): Promise<void> {
  const { stream } = (client as pg.Client & { readonly connection: { readonly stream: import('node:net').Socket } })
    .connection;
  return new Promise((resolve) => {
    if (stream.closed) {
      resolve();
      return;
    }
    stream.once('close', () => resolve());
    stream.destroy();
  });
}
