import type { Position } from '../domain/history-event.js';
import type { HistoryReading } from '../ports/history.js';
import type { Protections } from '../ports/protections.js';

/** How far a sidecar has followed the history, and whose history it was. */
export interface FollowedHistory {
  readonly position: Position;
  /** See `HistoryReading.lineage`. */
  readonly lineage: string | null;
}

/**
 * Reports why a reading does not continue the history that a sidecar has applied, or `null` when it does.
 *
 * It continues when the history still has the applied position with the applied token, and the reading holds every
 * event after it up to the head. Anything else (a pruned range, a restored backup, a failover that lost events, a head
 * that went back) is another history. So is another lineage, whatever the numbers and tokens say: memory may hold what
 * was read from events that were lost before they were applied. A sidecar that has applied nothing remembers nothing:
 * every reading will do.
 */
export function judgeReading(
  followed: FollowedHistory | null,
  reading: HistoryReading,
  protections: Protections,
): string | null {
  if (followed === null) return null;
  const applied = followed.position;
  if (reading.overLimit) return 'too far behind the history';
  const { head, events, tokenAtPosition } = reading;
  if (protections.tokenCheck) {
    if (followed.lineage !== null && reading.lineage !== null && followed.lineage !== reading.lineage) {
      return 'another line of history';
    }
    if (tokenAtPosition !== null && tokenAtPosition !== applied.token) return 'another token at the applied position';
    if (head.sequence < applied.sequence) return 'the head went back';
  }
  if (protections.gapRead) {
    if (tokenAtPosition === null) return 'the applied position is no longer kept';
    let expected = applied.sequence;
    for (const event of events) {
      expected += 1n;
      if (event.sequence !== expected) return 'a gap in the history';
    }
    if (expected !== head.sequence) return 'a gap before the head';
  }
  if (protections.tokenCheck) {
    const last = events.at(-1);
    if (last !== undefined && last.token !== head.token) return 'another token at the head';
  }
  return null;
}
