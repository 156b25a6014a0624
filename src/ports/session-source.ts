/**
 * Finds the account of an opaque session token.
 *
 * Contract: `null` when no session with this hash exists or it has expired by the database's clock; rejects with a
 * `Failure` `unavailable` when it cannot know. Bounded by a deadline of its own.
 */
export interface SessionSource {
  /** @param tokenHash SHA-256 of the token's UTF-8 bytes: 32 bytes */
  accountOf(tokenHash: Buffer): Promise<string | null>;
}
