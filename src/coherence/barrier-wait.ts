import type { BarrierReading, SidecarRow } from '../ports/history.js';
import { ALL_PROTECTIONS, type Protections } from '../ports/protections.js';
import { revokerMarginMs } from './margins.js';

/** How a barrier ended. */
export interface BarrierOutcome {
  readonly acknowledged: number;
  readonly expired: number;
  /** Monotonic time of the last acknowledgement seen, ms; `null` when there was none. */
  readonly lastAckAtMs: number | null;
}

/**
 * A revoker's half of the coherence protocol, as a pure state machine: readings and clock readings in, verdict out.
 *
 * Built from the first reading after the confirmed COMMIT. It is over when every row of that reading has acknowledged
 * its head, is gone, or the longest `lease_ms` among them plus margin has passed since the reading **arrived**, on the
 * revoker's own monotonic clock. Rows that appear later belong to sidecars that have read at least this head.
 *
 * A row that is gone counts as expired: only a sidecar that gave up its lease, or a barrier that waited it out, deletes.
 */
export class BarrierWait {
  private readonly waiting: Map<string, SidecarRow>;
  private readonly deadline: number;
  private acknowledged = 0;
  private gone = 0;
  private lastAckAtMs: number | null = null;

  constructor(
    private readonly first: BarrierReading,
    /** Monotonic time at which `first` arrived, ms. */
    arrivedAtMs: number,
    private readonly protections: Protections = ALL_PROTECTIONS,
  ) {
    this.waiting = new Map(first.sidecars.map((row) => [row.id, row]));
    const longestMs = Math.max(0, ...first.sidecars.map((row) => row.leaseMs));
    this.deadline = arrivedAtMs + longestMs + (protections.margin ? revokerMarginMs(longestMs) : 0);
    this.observe(first, arrivedAtMs);
  }

  /** The head that is waited for; the commit's own event is at or before it. */
  get target(): bigint {
    return this.first.head.sequence;
  }

  /** Monotonic time at which the wait is over whatever the rows say, ms. */
  get deadlineMs(): number {
    return this.deadline;
  }

  /** Takes in a later reading of the rows. */
  observe(reading: BarrierReading, nowMs: number): void {
    const now = new Map(reading.sidecars.map((row) => [row.id, row]));
    for (const id of this.waiting.keys()) {
      const row = now.get(id);
      if (row === undefined) this.gone += 1;
      else if (row.appliedSequence >= this.target) {
        this.acknowledged += 1;
        this.lastAckAtMs = nowMs;
      } else continue;
      this.waiting.delete(id);
    }
  }

  /** Reports whether no sidecar can answer from memory with anything older than the commit. */
  over(nowMs: number): boolean {
    return this.waiting.size === 0 || !this.protections.waitOut || nowMs >= this.deadline;
  }

  /**
   * Rows whose lease was waited out: to be deleted, each only if its `renewals` is still what the first reading said.
   * Empty before the deadline.
   */
  waitedOut(nowMs: number): readonly SidecarRow[] {
    return nowMs >= this.deadline ? [...this.waiting.values()] : [];
  }

  get outcome(): BarrierOutcome {
    return {
      acknowledged: this.acknowledged,
      expired: this.gone + this.waiting.size,
      lastAckAtMs: this.lastAckAtMs,
    };
  }
}
