import type { HistoryEvent, Position } from '../domain/history-event.js';

/** Step 1 of a renewal, and the registration of a new row. */
export interface Renewal {
  /** UUID of this incarnation of this cache; a new one after every start over. */
  readonly sidecarId: string;
  /** Number of the attempt, from 1; never reused by the same id. */
  readonly attempt: number;
  /** How long, in ms, the sidecar may answer from memory on the strength of this renewal (`serve-cached` included). */
  readonly leaseMs: number;
  /** What has been applied; `null` before anything was read. */
  readonly position: Position | null;
}

/** What one statement saw: the head and everything after a position. */
export interface HistoryReading {
  /** The newest event's number and token. */
  readonly head: Position;
  /**
   * The token that this history has at the asked position; `null` when it has no such event (pruned, or never). The
   * head has its token even when its event was pruned, or when there never was an event.
   */
  readonly tokenAtPosition: string | null;
  /**
   * Names the server's line of history: another one after every promotion and every restore, the same after a restart.
   * `null` where the server cannot tell.
   *
   * Tokens tell whether what was *applied* is still part of the history; this tells whether what was *read* is, which
   * may be newer than anything applied.
   */
  readonly lineage: string | null;
  /** Events after the asked position up to the head, ascending; empty when no position was asked, or over the limit. */
  readonly events: readonly HistoryEvent[];
  /** More events than the limit lie between the position and the head; `events` is then empty. */
  readonly overLimit: boolean;
  /** Clock of the database at the statement, ms since the Unix epoch; for metrics only. */
  readonly databaseNowMs: number;
}

/** One row of `sidecars`. */
export interface SidecarRow {
  readonly id: string;
  readonly renewals: number;
  readonly leaseMs: number;
  readonly appliedSequence: bigint;
}

/** What a revoker reads after its commit: in one statement, on the primary. */
export interface BarrierReading {
  readonly head: Position;
  readonly sidecars: readonly SidecarRow[];
}

/**
 * The shared memory of the coherence protocol (docs/guarantee.md), on the primary database.
 *
 * Contract, for every call: it has a deadline; it rejects with a `Failure`; a rejection says nothing on whether the
 * statement took effect; it refuses (rejects) on a server that is in recovery.
 */
export interface History {
  /** Inserts the row of a new incarnation. Rejects if the id exists. Durable when it resolves. */
  register(renewal: Renewal): Promise<void>;
  /**
   * Step 1: sets `renewals` to the attempt if it is higher than the stored one, in its own transaction. The position is
   * written only if this history has that event with that token, and never moves back. Durable when it resolves.
   * `false`: the row is gone or has seen a later attempt; start over.
   */
  renew(renewal: Renewal): Promise<boolean>;
  /** Step 2: one statement, in a transaction of its own begun after the call. */
  readHistory(after: Position | null, limit: number): Promise<HistoryReading>;
  /** Says that everything up to the position was applied. `false`: this history has no such event, or the row is gone. */
  acknowledge(sidecarId: string, position: Position): Promise<boolean>;
  /** Deletes the row of a sidecar that has given up its lease. */
  deregister(sidecarId: string): Promise<void>;
  /** The head and every sidecar's row, in one statement. */
  readBarrier(): Promise<BarrierReading>;
  /** Deletes each row whose `renewals` still has the value read. */
  forget(rows: readonly Pick<SidecarRow, 'id' | 'renewals'>[]): Promise<void>;
}
