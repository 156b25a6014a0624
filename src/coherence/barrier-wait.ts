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

/** A row that has not acknowledged, and when its lease is over whatever it says. */
interface Waiting {
  readonly row: SidecarRow;
  /** On the revoker's monotonic clock, ms. */
  readonly expiresAtMs: number;
}

/**
 * A revoker's half of the coherence protocol, as a pure state machine: readings and clock readings in, verdict out.
 *
 * Built from the first reading after the confirmed COMMIT. It is over when each row of that reading has acknowledged its
 * head, is gone, or has had its own `lease_ms` plus margin pass since the reading **arrived**, on the revoker's own
 * monotonic clock. Rows that appear later belong to sidecars that have read at least this head.
 *
 * A row that is gone counts as expired: only a sidecar that gave up its lease, or a barrier that waited it out, deletes.
 */
export class BarrierWait {
  private readonly waiting = new Map<string, Waiting>();
  private acknowledged = 0;
  private gone = 0;
  private lastAckAtMs: number | null = null;

  constructor(
    private readonly first: BarrierReading,
    /** Monotonic time at which `first` arrived, ms. */
    private readonly arrivedAtMs: number,
    private readonly protections: Protections = ALL_PROTECTIONS,
  ) {
    for (const row of first.sidecars) {
      const leaseMs = Math.max(0, row.leaseMs);
      const marginMs = protections.margin ? revokerMarginMs(leaseMs) : 0;
      this.waiting.set(row.id, { row, expiresAtMs: arrivedAtMs + leaseMs + marginMs });
    }
    this.observe(first, arrivedAtMs);
  }

  /** The head that is waited for; the commit's own event is at or before it. */
  get target(): bigint {
    return this.first.head.sequence;
  }

  /** Monotonic time at which the wait is over if no further row acknowledges, ms. */
  get deadlineMs(): number {
    let latestMs = this.arrivedAtMs;
    for (const { expiresAtMs } of this.waiting.values()) latestMs = Math.max(latestMs, expiresAtMs);
    return latestMs;
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
    return !this.protections.waitOut || nowMs >= this.deadlineMs;
  }

  /** Rows whose lease was waited out: to be deleted, each only if its `renewals` is still what the first reading said. */
  waitedOut(nowMs: number): readonly SidecarRow[] {
    return [...this.waiting.values()].filter(({ expiresAtMs }) => nowMs >= expiresAtMs).map(({ row }) => row);
  }

  get outcome(): BarrierOutcome {
    return {
      acknowledged: this.acknowledged,
      expired: this.gone + this.waiting.size,
      lastAckAtMs: this.lastAckAtMs,
    };
  }
}
