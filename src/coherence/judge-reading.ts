import type { Position } from '../domain/history-event.js';
import type { HistoryReading } from '../ports/history.js';
import type { Protections } from '../ports/protections.js';

/**
 * Reports why a reading does not continue the history that a sidecar has applied, or `null` when it does.
 *
 * It continues when the history still has the applied position with the applied token, and the reading holds every
 * event after it up to the head. Anything else (a pruned range, a restored backup, a failover that lost events, a head
 * that went back) is another history. A sidecar that has applied nothing remembers nothing: every reading will do.
 */
export function judgeReading(
  applied: Position | null,
  reading: HistoryReading,
  protections: Protections,
): string | null {
  if (applied === null) return null;
  if (reading.overLimit) return 'too far behind the history';
  const { head, events, tokenAtPosition } = reading;
  if (protections.tokenCheck) {
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
