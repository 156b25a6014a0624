import type { HistoryEvent } from '../domain/history-event.js';

/**
 * Something that remembers what the database said, and must be told when that changes.
 *
 * Both calls are synchronous and complete before they return: once they have, no answer older than the event can be
 * given from memory, by reads in flight included.
 */
export interface CacheControl {
  /** Forgets what the event may have altered, and taints reads of it that are in flight. */
  apply(event: HistoryEvent): void;
  /** Forgets everything and taints every read in flight. */
  forgetAll(): void;
}
