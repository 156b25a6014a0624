import type { HistoryEvent } from '../domain/history-event.js';

/**
 * The newest events, without a gap among them, up to a fixed number; older ones fall out.
 *
 * Shared by all watchers, so that what is kept for them does not grow with their number.
 */
export class RecentEvents {
  private readonly slots: HistoryEvent[] = [];
  private oldest: HistoryEvent | null = null;
  private newest: HistoryEvent | null = null;

  constructor(private readonly capacity: number) {}

  /** The newest event that is kept, or `null` when there is none. */
  get last(): HistoryEvent | null {
    return this.newest;
  }

  /** Adds the next event. One that is known already changes nothing; after a gap only the new one is kept. */
  add(event: HistoryEvent): void {
    if (this.newest !== null) {
      if (event.sequence <= this.newest.sequence) return;
      if (event.sequence !== this.newest.sequence + 1n) this.clear();
    }
    this.slots[this.slotOf(event.sequence)] = event;
    this.newest = event;
    if (this.oldest === null) this.oldest = event;
    else if (event.sequence - this.oldest.sequence >= BigInt(this.capacity)) {
      this.oldest = this.slots[this.slotOf(this.oldest.sequence + 1n)] as HistoryEvent;
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.slots.length = 0;
    this.oldest = null;
    this.newest = null;
  }

  /** The event with that sequence, or `null` when it is not kept. */
  get(sequence: bigint): HistoryEvent | null {
    if (this.oldest === null || this.newest === null) return null;
    if (sequence < this.oldest.sequence || sequence > this.newest.sequence) return null;
    return this.slots[this.slotOf(sequence)] as HistoryEvent;
  }

  /** Whether an event after that sequence is known to exist, but is not kept any more. */
  isBefore(sequence: bigint): boolean {
    return this.oldest !== null && sequence + 1n < this.oldest.sequence;
  }

  private slotOf(sequence: bigint): number {
    return Number(sequence % BigInt(this.capacity));
  }
}
