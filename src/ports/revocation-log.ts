import type { HistoryEvent } from '../domain/history-event.js';

/** A stretch of the history, for watchers. */
export interface RevocationPage {
  /** Events after the asked sequence, ascending, of every kind. */
  readonly events: readonly HistoryEvent[];
  /** The newest sequence that existed at the read. */
  readonly headSequence: bigint;
  /** The oldest sequence that is kept; a resume from before `oldestSequence - 1` has a gap. */
  readonly oldestSequence: bigint;
}

/** Reads committed events in order. Rejects with a `Failure`. */
export interface RevocationLog {
  readAfter(sequence: bigint, limit: number): Promise<RevocationPage>;
}
