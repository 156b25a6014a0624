/** What was proven about a revocation. */
export interface Receipt {
  /** The head that every sidecar was proven to have applied; the revocation's own event is at or before it. */
  readonly sequence: bigint;
  /** When the change was made, by the database's clock. */
  readonly committedAtMs: number;
  /** From the confirmed COMMIT to the end of the barrier, in ms. */
  readonly confirmedInMs: number;
  readonly sidecars: {
    /** Sidecars that said they had applied the sequence. */
    readonly acknowledged: number;
    /** Sidecars whose lease was waited out, or whose row was gone. */
    readonly expired: number;
  };
  /** From the confirmed COMMIT to the last acknowledgement seen, in ms; `null` when there was none. */
  readonly slowestAckMs: number | null;
}

/** The commit that a barrier is about. */
export interface ConfirmedCommit {
  /** By the database's clock, ms since the Unix epoch; copied into the receipt. */
  readonly committedAtMs: number;
}

/** Waits until every sidecar has applied what was committed, or has lost its lease. */
export interface Barrier {
  /**
   * Call only after COMMIT was confirmed. Resolves once no sidecar can answer from memory with anything older than the
   * commit: at the latest when the longest lease has run out that a sidecar had at that time (a minute by the bounds of
   * the configuration, an hour more with `serve-cached`). Rejects with a `Failure` `unconfirmed` when the sidecars could
   * not be read: the change stands, and the call can be repeated.
   */
  confirm(commit: ConfirmedCommit): Promise<Receipt>;
  /** As `confirm`, but gives up silently after `atMostMs`: for creations. Never rejects. `true`: proven. */
  settle(atMostMs: number): Promise<boolean>;
}
