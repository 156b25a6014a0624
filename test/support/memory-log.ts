import { Failure } from '../../src/domain/failure.js';
import type { HistoryEvent, HistoryEventKind } from '../../src/domain/history-event.js';
import type { RevocationLog, RevocationPage } from '../../src/ports/revocation-log.js';
import { historyEvent } from './fakes/builders.js';

/** A history in memory, with everything that can happen to one. */
export class MemoryLog implements RevocationLog {
  /** Reads so far. */
  reads = 0;
  /** Reads that fail before one succeeds again. */
  failing = 0;
  /** Most reads that were under way at the same time. */
  mostAtOnce = 0;
  private atOnce = 0;
  private events: HistoryEvent[] = [];
  private head = 0n;

  /** Commits an event; its token is its sequence unless given. */
  commit(kind: HistoryEventKind, given: Partial<HistoryEvent> = {}): HistoryEvent {
    this.head += 1n;
    const event = historyEvent(kind, { sequence: this.head, token: `token-${this.head}`, ...given });
    this.events.push(event);
    return event;
  }

  /** Commits the revocation of a key. */
  revoke(keyId: string, accountId = 'account-a'): HistoryEvent {
    return this.commit('key-revoked', { keyId, accountId, atMs: 1000 + Number(this.head) });
  }

  /** Forgets the oldest events, up to a sequence. */
  prune(upTo: bigint): void {
    this.events = this.events.filter(({ sequence }) => sequence > upTo);
  }

  /** A failover to a database that never had the events after a sequence. */
  rewind(to: bigint): void {
    this.events = this.events.filter(({ sequence }) => sequence <= to);
    this.head = to;
  }

  async readAfter(sequence: bigint, limit: number): Promise<RevocationPage> {
    this.reads++;
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.atOnce);
    try {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.failing > 0) {
        this.failing--;
        throw new Failure('unavailable', 'The history of changes cannot be read now; try again.');
      }
      return {
        events: this.events.filter((event) => event.sequence > sequence).slice(0, limit),
        headSequence: this.head,
        oldestSequence: this.events[0]?.sequence ?? this.head + 1n,
      };
    } finally {
      this.atOnce--;
    }
  }
}
