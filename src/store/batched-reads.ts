import { Failure } from '../domain/failure.js';
import { BULK_READ_MAX, type BulkSource } from '../ports/bulk-source.js';
import type { CancelTimer, Timers } from '../ports/clock.js';
import type { Metrics, SourceName } from '../ports/metrics.js';
import type { SingleRead, SingleReads } from '../ports/single-reads.js';

/** Bounds of {@link BatchedReads}. */
export interface BatchedReadsOptions {
  /** Most statements in flight. Default 4: enough to hide one round trip behind another, few enough to fill each. */
  readonly maxStatements?: number;
  /** Most reads waiting to be sent; one more is shed. Default 10 000: at 1000 a statement, ten statements' worth. */
  readonly maxWaiting?: number;
  /** How long, in ms, a read may take from its beginning, waiting included. Default 2000. */
  readonly deadlineMs?: number;
  /** Calls `run` once this turn of the event loop has taken in its requests. Default `setImmediate`. */
  readonly afterTurn?: (run: () => void) => void;
  /** How many reads of things that do not exist, within {@link FLOOD_WINDOW_MS}, make a flood. Default 100. */
  readonly floodFrom?: number;
  /** How long, in ms, reads are gathered into one statement during a flood. Default 10. */
  readonly floodGatherMs?: number;
}

/** A flood is seen, and seen to have ended, within this time, in ms. */
export const FLOOD_WINDOW_MS = 100;

/** What {@link BatchedReads} is made of. */
export interface BatchedReadsParts<K, V> {
  readonly source: BulkSource<K, V>;
  readonly name: SourceName;
  readonly metrics: Metrics;
  readonly timers: Timers;
}

/** One read, which settles once. */
class PendingRead<K, V> implements SingleRead<V> {
  sent = false;
  settled = false;
  /** Which key of its statement answers it. */
  index = 0;
  readonly value: Promise<V | null>;
  private resolve!: (value: V | null) => void;
  private reject!: (failure: Failure) => void;

  constructor(
    readonly key: K,
    readonly turn: Turn<K, V>,
  ) {
    this.value = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // A reader may have gone; its rejection must not end the process.
    this.value.catch(() => {});
  }

  succeed(value: V | null): void {
    if (this.settled) return;
    this.settled = true;
    this.resolve(value);
  }

  fail(failure: Failure): void {
    if (this.settled) return;
    this.settled = true;
    this.reject(failure);
  }
}

/** The reads that began in one turn of the event loop: they share one deadline. */
interface Turn<K, V> {
  readonly reads: PendingRead<K, V>[];
  /** Reads whose statement has not ended. */
  open: number;
  cancel: CancelTimer;
}

/**
 * Gathers the reads of one turn of the event loop, and those that had to wait, into few statements.
 *
 * - At most `maxStatements` are in flight and each reads at most {@link BULK_READ_MAX} keys; the rest waits, in order.
 * - While many answers are "does not exist" (somebody tries keys), reads are gathered for some ms instead of one turn of
 *   the event loop: a guess then costs a fraction of a statement, a guesser who waits for answers slows itself down, and
 *   a real miss pays those ms until the flood is over.
 * - Past `maxWaiting` waiting reads a new one throws `overloaded` at once.
 * - Each read has a deadline of its own, so that one stuck statement never pins those who share it. The statement keeps
 *   its place until the source gives it up: what is in flight at the database stays bounded.
 */
export class BatchedReads<K, V> implements SingleReads<K, V> {
  private readonly source: BulkSource<K, V>;
  private readonly name: SourceName;
  private readonly metrics: Metrics;
  private readonly timers: Timers;
  private readonly maxStatements: number;
  private readonly maxWaiting: number;
  private readonly deadlineMs: number;
  private readonly afterTurn: (run: () => void) => void;
  private readonly floodFrom: number;
  private readonly floodGatherMs: number;

  /** Reads not yet sent, oldest first; a settled one has missed its deadline. */
  private waiting: PendingRead<K, V>[] = [];
  private turn: Turn<K, V> | null = null;
  private statements = 0;
  /** "Does not exist" answers of this window; `null` while no window is open. */
  private absences: number | null = null;
  private flooded = false;
  /** Waiting reads are being gathered: nothing is sent before that ends. */
  private gathering = false;

  constructor(parts: BatchedReadsParts<K, V>, options: BatchedReadsOptions = {}) {
    this.source = parts.source;
    this.name = parts.name;
    this.metrics = parts.metrics;
    this.timers = parts.timers;
    this.maxStatements = options.maxStatements ?? 4;
    this.maxWaiting = options.maxWaiting ?? 10_000;
    this.deadlineMs = options.deadlineMs ?? 2000;
    this.afterTurn = options.afterTurn ?? ((run) => void setImmediate(run));
    this.floodFrom = options.floodFrom ?? 100;
    this.floodGatherMs = options.floodGatherMs ?? 10;
  }

  /** Reads that wait to be sent. */
  get waitingCount(): number {
    return this.waiting.length;
  }

  read(key: K): SingleRead<V> {
    if (this.waitingCount >= this.maxWaiting) {
      this.metrics.loadShed(this.name);
      throw new Failure('overloaded', 'Too many look-ups are waiting; try again later.');
    }
    const turn = this.turn ?? this.beginTurn();
    const read = new PendingRead<K, V>(key, turn);
    turn.reads.push(read);
    turn.open++;
    this.waiting.push(read);
    return read;
  }

  private beginTurn(): Turn<K, V> {
    const turn: Turn<K, V> = { reads: [], open: 0, cancel: () => {} };
    turn.cancel = this.timers.after(this.deadlineMs, () => this.expire(turn));
    this.turn = turn;
    this.gathering = this.flooded;
    const end = (): void => {
      this.turn = null;
      this.gathering = false;
      this.send();
    };
    if (this.gathering) this.timers.after(this.floodGatherMs, end);
    else this.afterTurn(end);
    return turn;
  }

  private countAbsences(count: number): void {
    if (count === 0) return;
    if (this.absences === null) this.openWindow();
    this.absences = (this.absences ?? 0) + count;
  }

  /** Windows follow one another until one without a flood: what begins a flood also sees its end. */
  private openWindow(): void {
    this.absences = 0;
    this.timers.after(FLOOD_WINDOW_MS, () => {
      this.flooded = (this.absences ?? 0) >= this.floodFrom;
      this.absences = null;
      if (this.flooded) this.openWindow();
    });
  }

  private expire(turn: Turn<K, V>): void {
    const failure = new Failure('deadline-exceeded', 'The look-up took too long; try again.');
    for (const read of turn.reads) read.fail(failure);
  }

  private send(): void {
    if (this.gathering) return;
    while (this.statements < this.maxStatements) {
      const batch = this.nextBatch();
      if (batch === null) return;
      this.statements++;
      void this.run(batch.keys, batch.reads);
    }
  }

  /** Takes the oldest waiting reads; two of one key are answered by one mention of it in the same statement. */
  private nextBatch(): { readonly keys: readonly K[]; readonly reads: readonly PendingRead<K, V>[] } | null {
    const keys: K[] = [];
    const reads: PendingRead<K, V>[] = [];
    const indexOfKey = new Map<K, number>();
    let taken = 0;
    for (; taken < this.waiting.length; taken++) {
      const read = this.waiting[taken] as PendingRead<K, V>;
      if (read.settled) continue;
      const known = indexOfKey.get(read.key);
      if (known === undefined) {
        if (keys.length === BULK_READ_MAX) break;
        indexOfKey.set(read.key, keys.length);
        read.index = keys.length;
        keys.push(read.key);
      } else read.index = known;
      reads.push(read);
    }
    this.waiting = taken === this.waiting.length ? [] : this.waiting.slice(taken);
    return keys.length === 0 ? null : { keys, reads };
  }

  private async run(keys: readonly K[], reads: readonly PendingRead<K, V>[]): Promise<void> {
    for (const read of reads) read.sent = true;
    try {
      const values = await this.source.readMany(keys);
      if (values.length !== keys.length) {
        throw new Error(`asked for ${keys.length} keys, the source answered ${values.length}`);
      }
      let absences = 0;
      for (const value of values) if (value === null) absences++;
      this.countAbsences(absences);
      for (const read of reads) read.succeed(values[read.index] ?? null);
    } catch (error) {
      const failure = Failure.from(error);
      for (const read of reads) read.fail(failure);
    }
    for (const { turn } of reads) {
      turn.open--;
      if (turn.open === 0) turn.cancel();
    }
    this.statements--;
    this.send();
  }
}
