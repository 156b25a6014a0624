/** One read of one key, possibly shared with others in one statement. */
export interface SingleRead<V> {
  /**
   * Whether the statement may already have been sent. Until then the answer will be at least as new as now; from then
   * on a request that arrives later must not be given it unless the fill guard allows.
   */
  readonly sent: boolean;
  /** The answer; rejects with a `Failure`. Handled even if nobody awaits it. */
  readonly value: Promise<V | null>;
}

/**
 * Reads one key at a time from the primary; an implementation may gather reads of one turn into one statement.
 *
 * Never joins two reads of the same key on its own: whether that is allowed is the fill guard's to say.
 */
export interface SingleReads<K, V> {
  /** Begins a read. Throws a `Failure` `overloaded` at once when too many reads are waiting. */
  read(key: K): SingleRead<V>;
}
