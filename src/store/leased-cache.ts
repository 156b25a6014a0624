import { LRUCache } from 'lru-cache';
import { Failure } from '../domain/failure.js';
import type { Awaitable } from '../ports/awaitable.js';
import type { Clock } from '../ports/clock.js';
import { type Lease, type LeaseToken, NO_LEASE } from '../ports/lease.js';
import type { CacheName, Metrics, SourceName } from '../ports/metrics.js';
import { ALL_PROTECTIONS, type Protections } from '../ports/protections.js';
import type { SingleRead, SingleReads } from '../ports/single-reads.js';

/** What {@link LeasedCache} is made of. */
export interface LeasedCacheParts<V extends {}> {
  readonly reads: SingleReads<string, V>;
  readonly lease: Lease;
  readonly metrics: Metrics;
  readonly source: SourceName;
  /** Name, in metrics, of the cache of things that exist. */
  readonly presentName: CacheName;
  /** Name, in metrics, of the cache of things that do not. */
  readonly absentName: CacheName;
  /** Most things that exist to remember; at least 1. */
  readonly maxPresent: number;
  /** Most things that do not exist to remember; at least 1. Apart, so that a flood of them displaces nothing real. */
  readonly maxAbsent: number;
  /** Makes the form of a value that is remembered: smaller, otherwise the same. */
  readonly compact?: (value: V) => V;
  /** Set where changes raise no event: how long an answer may be used, in ms from the start of its read. */
  readonly maxAge?: { readonly ms: number; readonly clock: Clock };
}

/** A read in flight, with what must be known to judge its answer. */
class Flight<V> {
  /** The answer is not to be stored, nor given to a request that arrived after the read was sent. */
  tainted = false;

  constructor(
    readonly read: SingleRead<V>,
    /** The lease held when the read began: before it was sent, which is stricter than when it was sent. */
    readonly token: LeaseToken,
    readonly startedMs: number,
  ) {}
}

/**
 * Remembers answers of the primary, and answers from memory only while a lease is held.
 *
 * The lease is asked once for every request, after it has arrived. What is remembered is right whenever the
 * lease is valid, because every event was applied here before the lease was granted or prolonged.
 *
 * **Fill guard.** An answer is stored, or given to a request that arrived after its read was sent, only if no event
 * tainted the read and one lease was held without lapse from the read's beginning to the answer's use. Otherwise it is
 * read again for those requests. A request that arrived before the read was sent may have the answer in any case: it
 * is newer than the request. Without a lease a request joins only reads that have not been sent. Errors are never
 * remembered.
 *
 * One read of a key is registered at a time; a read that is replaced is tainted, so that nothing is lost track of.
 */
export class LeasedCache<V extends {}> {
  private readonly reads: SingleReads<string, V>;
  private readonly lease: Lease;
  private readonly metrics: Metrics;
  private readonly source: SourceName;
  private readonly presentName: CacheName;
  private readonly absentName: CacheName;
  private readonly compact: (value: V) => V;
  private readonly maxAge: { readonly ms: number; readonly clock: Clock } | undefined;

  private readonly present: LRUCache<string, V>;
  /** Each with the lease it was learnt under: an absence is never believed longer than that. */
  private readonly absent: LRUCache<string, LeaseToken>;
  private readonly flights = new Map<string, Flight<V>>();

  constructor(
    parts: LeasedCacheParts<V>,
    private readonly protections: Protections = ALL_PROTECTIONS,
  ) {
    this.reads = parts.reads;
    this.lease = parts.lease;
    this.metrics = parts.metrics;
    this.source = parts.source;
    this.presentName = parts.presentName;
    this.absentName = parts.absentName;
    this.compact = parts.compact ?? ((value) => value);
    this.maxAge = parts.maxAge;
    const { metrics, presentName, absentName, maxAge } = parts;
    // Ages are measured by the injected clock, anew at every look; without an age limit nothing is kept for them.
    const aging =
      maxAge === undefined ? {} : { ttl: maxAge.ms, ttlResolution: 0, perf: { now: () => maxAge.clock.monotonicMs() } };
    const evictionOf =
      (cache: CacheName) =>
      (_value: unknown, _key: string, reason: string): void => {
        if (reason === 'evict') metrics.cacheEviction(cache);
      };
    this.present = new LRUCache<string, V>({ max: parts.maxPresent, dispose: evictionOf(presentName), ...aging });
    this.absent = new LRUCache<string, LeaseToken>({ max: parts.maxAbsent, dispose: evictionOf(absentName), ...aging });
    metrics.watchCache(presentName, () => ({ size: this.present.size, max: parts.maxPresent }));
    metrics.watchCache(absentName, () => ({ size: this.absent.size, max: parts.maxAbsent }));
  }

  /** At once when it is in memory under a lease. Throws or rejects with a `Failure` when it cannot know. */
  find(key: string): Awaitable<V | null> {
    const token = this.lease.held();
    const known = this.recall(key, token);
    if (known !== undefined) return known;
    this.metrics.cacheMiss(this.source);
    const answer = this.miss(key, token, true);
    return token === NO_LEASE ? this.orUnleased(key, answer) : answer;
  }

  /** What is in memory and may be answered under this lease; `undefined` when that is nothing. Never reads. */
  recall(key: string, token: LeaseToken): V | null | undefined {
    if (token === NO_LEASE && this.protections.leaseCheck) return undefined;
    const value = this.present.get(key);
    if (value !== undefined) {
      this.metrics.cacheHit(this.presentName);
      return value;
    }
    const learntUnder = this.absent.get(key);
    if (learntUnder === undefined || (learntUnder !== token && this.protections.leaseCheck)) return undefined;
    this.metrics.cacheHit(this.absentName);
    return null;
  }

  /** Forgets a key and taints its read in flight, also when nothing is remembered of it. */
  forget(key: string): void {
    this.present.delete(key);
    this.absent.delete(key);
    const flight = this.flights.get(key);
    if (flight !== undefined) this.taint(flight);
  }

  /** Forgets everything and taints every read in flight. */
  forgetAll(): void {
    this.present.clear();
    this.absent.clear();
    for (const flight of this.flights.values()) this.taint(flight);
  }

  private taint(flight: Flight<V>): void {
    if (this.protections.taint) flight.tainted = true;
  }

  /** @param mayBeLate whether to hope for a read that has been sent; not twice, so that a request reads again once */
  private miss(key: string, token: LeaseToken, mayBeLate: boolean): Promise<V | null> {
    const flight = this.flights.get(key);
    if (flight !== undefined) {
      if (!flight.read.sent || !this.protections.joinRule) return flight.read.value;
      if (mayBeLate && !flight.tainted && token !== NO_LEASE && token === flight.token) return this.late(key, flight);
      flight.tainted = true;
    }
    return this.begin(key, token);
  }

  private begin(key: string, token: LeaseToken): Promise<V | null> {
    const flight = new Flight(this.reads.read(key), token, this.maxAge?.clock.monotonicMs() ?? 0);
    this.flights.set(key, flight);
    return flight.read.value.then(
      (value) => {
        this.land(key, flight);
        if (this.mayOutliveItsReaders(flight)) this.store(key, value, flight);
        else this.refuse(key, value);
        return value;
      },
      (failure: unknown) => {
        this.land(key, flight);
        throw failure;
      },
    );
  }

  private land(key: string, flight: Flight<V>): void {
    if (this.flights.get(key) === flight) this.flights.delete(key);
  }

  /** Waits for a read that was sent before the request arrived, and reads again if its answer may be too old. */
  private async late(key: string, flight: Flight<V>): Promise<V | null> {
    const value = await flight.read.value;
    if (this.mayOutliveItsReaders(flight)) return value;
    this.metrics.fillRefused(this.source);
    return this.miss(key, this.lease.held(), false);
  }

  /**
   * Falls back on memory when the database is out of reach and the operator prefers an old answer to none. Only for
   * what exists: that something does not exist is too easily no longer true.
   */
  private async orUnleased(key: string, answer: Promise<V | null>): Promise<V | null> {
    try {
      return await answer;
    } catch (error) {
      const failure = Failure.from(error);
      const outOfReach = failure.kind === 'unavailable' || failure.kind === 'deadline-exceeded';
      if (!outOfReach || this.lease.heldOnLoss() === NO_LEASE) throw failure;
      const value = this.present.get(key);
      if (value === undefined) throw failure;
      this.metrics.servedUnleased();
      return value;
    }
  }

  /** The fill guard. */
  private mayOutliveItsReaders(flight: Flight<V>): boolean {
    if (flight.tainted) return false;
    if (this.maxAge !== undefined && this.maxAge.clock.monotonicMs() - flight.startedMs >= this.maxAge.ms) return false;
    if (!this.protections.fillGuard) return true;
    return flight.token !== NO_LEASE && this.lease.held() === flight.token;
  }

  /**
   * Does not remember an answer, and forgets what it contradicts: without a lease that is not used, but might be again
   * when the database is lost next, after somebody was told otherwise.
   */
  private refuse(key: string, value: V | null): void {
    this.metrics.fillRefused(this.source);
    const remembered = this.present.peek(key);
    if (remembered !== undefined && (value === null || !isSame(remembered, value))) {
      this.present.delete(key);
    }
  }

  private store(key: string, value: V | null, flight: Flight<V>): void {
    // An answer is as old as its read, not as its storing.
    const options = this.maxAge === undefined ? undefined : { start: flight.startedMs };
    if (value === null) {
      this.present.delete(key);
      this.absent.set(key, flight.token, options);
    } else {
      this.absent.delete(key);
      this.present.set(key, this.compact(value), options);
    }
  }
}

/** Whether two values are equal, field by field where they have fields. */
function isSame<V extends {}>(one: V, other: V): boolean {
  if (typeof one !== 'object') return one === other;
  const fields = Object.keys(one) as (keyof V)[];
  return fields.length === Object.keys(other).length && fields.every((field) => one[field] === other[field]);
}
