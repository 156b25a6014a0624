import { Failure } from '../domain/failure.js';
import type { CancelTimer, Clock, Timers } from '../ports/clock.js';
import type { KeyUse, UsageRecorder, UsageSink } from '../ports/key-usage.js';
import type { Logger } from '../ports/logger.js';
import type { Metrics } from '../ports/metrics.js';

/** Bounds of {@link CoalescingUsageRecorder}. */
export interface UsageRecorderOptions {
  /** Time, in ms, between the end of one flush and the beginning of the next. Default 5000. */
  readonly flushMs?: number;
  /** Most keys whose use waits to be written; past it the longest waiting is dropped. Default 200 000. */
  readonly maxQueued?: number;
  /** Most rows of one statement. Default 5000. */
  readonly maxRows?: number;
}

/** What {@link CoalescingUsageRecorder} is made of. */
export interface UsageRecorderParts {
  readonly sink: UsageSink;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** A use that waits. */
interface Use extends KeyUse {
  atMs: number;
}

/**
 * Keeps the latest use of each key in memory and writes it every few seconds, however often the key was used.
 *
 * - Only the latest time of a key is kept; time never moves backwards.
 * - Rows are written in the order of their key's id, in statements of at most `maxRows`.
 * - What could not be written is kept and tried again at the next flush.
 * - Two flushes never run at once. "Last used" is information for people: losing some in a crash harms no guarantee.
 */
export class CoalescingUsageRecorder implements UsageRecorder {
  private readonly parts: UsageRecorderParts;
  private readonly flushMs: number;
  private readonly maxQueued: number;
  private readonly maxRows: number;

  /** Latest use by key, in the order in which the keys began to wait. Each is changed in place: no allocation. */
  private queued = new Map<string, Use>();
  private flushing: Promise<void> | null = null;
  private cancelTimer: CancelTimer | null = null;
  private started = false;

  constructor(parts: UsageRecorderParts, options: UsageRecorderOptions = {}) {
    this.parts = parts;
    this.flushMs = options.flushMs ?? 5000;
    this.maxQueued = options.maxQueued ?? 200_000;
    this.maxRows = options.maxRows ?? 5000;
    parts.metrics.usageQueued(() => this.queued.size);
  }

  record(keyId: string, atMs: number): void {
    const known = this.queued.get(keyId);
    if (known !== undefined) {
      if (atMs > known.atMs) known.atMs = atMs;
      return;
    }
    if (this.queued.size >= this.maxQueued) this.dropOldest();
    this.queued.set(keyId, { keyId, atMs });
  }

  /** Begins to flush periodically. */
  start(): void {
    if (this.started) return;
    this.started = true;
    this.schedule();
  }

  /** Ends the periodic flush and writes what is left, once; resolves also when that failed. */
  async stop(): Promise<void> {
    this.started = false;
    this.cancelTimer?.();
    this.cancelTimer = null;
    // The flush under way may have begun before the last use.
    await this.flushing;
    await this.flush();
  }

  /** Writes everything that waits. Resolves when it is written or has failed and is kept. Never rejects. */
  flush(): Promise<void> {
    this.flushing ??= this.writeAll().finally(() => {
      this.flushing = null;
    });
    return this.flushing;
  }

  private schedule(): void {
    if (!this.started) return;
    this.cancelTimer = this.parts.timers.after(this.flushMs, () => void this.flush().then(() => this.schedule()));
  }

  private async writeAll(): Promise<void> {
    if (this.queued.size === 0) return;
    const uses = [...this.queued.values()];
    this.queued = new Map();
    uses.sort((a, b) => (a.keyId < b.keyId ? -1 : 1));
    for (let from = 0; from < uses.length; from += this.maxRows) {
      const rows = uses.slice(from, from + this.maxRows);
      if (await this.write(rows)) continue;
      // The database refused one statement; it is left in peace until the next flush.
      this.keep(uses.slice(from));
      return;
    }
  }

  private async write(rows: readonly KeyUse[]): Promise<boolean> {
    const { sink, clock, metrics, logger } = this.parts;
    const startedMs = clock.monotonicMs();
    try {
      await sink.write(rows);
      metrics.usageFlushed(rows.length, (clock.monotonicMs() - startedMs) / 1000, 'ok');
      return true;
    } catch (error) {
      const failure = Failure.from(error);
      metrics.usageFlushed(rows.length, (clock.monotonicMs() - startedMs) / 1000, failure.kind);
      logger.warn('last use of keys could not be written; it is kept and tried again', { rows: rows.length, error });
      return false;
    }
  }

  /** Puts unwritten uses back, in front of what was recorded since; a later use of the same key wins. */
  private keep(uses: readonly Use[]): void {
    const since = this.queued;
    this.queued = new Map(uses.map((use) => [use.keyId, use]));
    for (const { keyId, atMs } of since.values()) this.record(keyId, atMs);
    while (this.queued.size > this.maxQueued) this.dropOldest();
  }

  private dropOldest(): void {
    const oldest = this.queued.keys().next();
    if (oldest.done) return;
    this.queued.delete(oldest.value);
    this.parts.metrics.usageDropped(1);
  }
}
