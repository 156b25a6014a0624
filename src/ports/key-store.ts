import type { KeyRecord } from '../domain/key-record.js';
import type { KeyHash } from '../domain/raw-key.js';
import type { Awaitable } from './awaitable.js';
import type { LeaseToken } from './lease.js';

/**
 * Finds keys by the hash of their raw key.
 *
 * Contract:
 * - `null` means that no such key existed at some instant between the call and its answer.
 * - An answer is never older than the call: from memory only under a lease that is valid after the call began.
 * - Rejects (or throws) a `Failure` when it cannot know; it never guesses.
 */
export interface KeyStore {
  find(keyHash: KeyHash): Awaitable<KeyRecord | null>;
  /**
   * As `find`, but from memory alone: `undefined` when the answer is not there, or not under this lease.
   *
   * @param lease what the lease said at a reading of the clocks in this turn, after the request was received
   */
  recall?(keyHash: KeyHash, lease: LeaseToken): KeyRecord | null | undefined;
}
