import type { KeyRecord } from '../domain/key-record.js';
import type { KeyHash } from '../domain/raw-key.js';
import type { Awaitable } from './awaitable.js';

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
   * As `find`, but never reads: `undefined` when the answer is not in memory under a lease that is valid now. Lets a
   * caller spare the database a look-up that it can refuse for another reason.
   */
  peek?(keyHash: KeyHash): KeyRecord | null | undefined;
}
