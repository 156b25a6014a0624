/** Notes that a key was used. Called on every granted decision: constant time, no allocation for a known key. */
export interface UsageRecorder {
  record(keyId: string, atMs: number): void;
}

/** One key's latest use. */
export interface KeyUse {
  readonly keyId: string;
  /** Wall clock, ms since the Unix epoch. */
  readonly atMs: number;
}

/**
 * Writes "last used".
 *
 * Contract: one statement a call; rows sorted by key id, so that two writers never deadlock; a stored time never moves
 * backwards; a revoked or unknown key is left alone. Rejects with a `Failure`; the caller keeps the uses and retries.
 */
export interface UsageSink {
  write(uses: readonly KeyUse[]): Promise<void>;
}
