/** One message of a watch: a revocation, or a heartbeat that says up to which sequence nothing was missed. */
export interface WatchMessage {
  /** Resume after this sequence and nothing is missed. */
  readonly sequence: bigint;
  /** `null`: a heartbeat. */
  readonly revocation: {
    readonly keyId: string;
    readonly accountId: string;
    /** `''` for a user key. */
    readonly appId: string;
    readonly revokedAtMs: number;
  } | null;
}

/** Where a watch begins and what it follows. */
export interface WatchRequest {
  /** Resume after this sequence; 0n: from now on. */
  readonly afterSequence: bigint;
  /** Only this account's keys; `''`: all. */
  readonly accountId: string;
}

/**
 * Streams revocations in commit order, without a gap, for gateways that hold connections open.
 *
 * The iterator ends quietly when `signal` aborts; throws `Failure` `history-pruned` when the sequence is older than
 * what is kept (or from another history: ahead of the head), and `slow-reader` when the reader fell behind the bound.
 */
export interface RevocationWatch {
  watch(request: WatchRequest, signal: AbortSignal): AsyncIterable<WatchMessage>;
}
