import { Failure } from '../domain/failure.js';
import type { HistoryEvent } from '../domain/history-event.js';
import type { CacheControl } from '../ports/cache-control.js';
import type { Timers } from '../ports/clock.js';
import { type Lease, NO_LEASE } from '../ports/lease.js';
import type { Metrics } from '../ports/metrics.js';
import { pause } from '../ports/pause.js';
import type { RevocationLog, RevocationPage } from '../ports/revocation-log.js';
import { RecentEvents } from './recent-events.js';
import type { RevocationWatch, WatchMessage, WatchRequest } from './revocation-watch.js';

/** How long, in ms, a watch is silent before it sends a heartbeat. */
export const HEARTBEAT_MS = 5_000;

/** Events kept in memory for watchers that are a little behind; one that falls behind all of them is cut off. */
export const RECENT_EVENTS_MAX = 10_000;

/** Events read at once from the log. */
const PAGE_EVENTS = 1_000;

/** Reads of the log that may run at once, however many watchers catch up. */
const READS_MAX = 4;

/** How often, and after how many ms each, a watcher tries to prove that the history is still the one it follows. */
const VERIFY_ATTEMPTS = 10;
const VERIFY_RETRY_MS = 1_000;

/** The largest sequence that the database can hold. */
const SEQUENCE_MAX = 2n ** 63n - 1n;

/** What {@link WatchRevocations} is made of. */
export interface WatchRevocationsParts {
  readonly log: RevocationLog;
  /** Held: this sidecar hears of every revocation in time. */
  readonly lease: Pick<Lease, 'held'>;
  readonly timers: Timers;
  readonly metrics: Metrics;
  /** Defaults to {@link RECENT_EVENTS_MAX}. */
  readonly recentEvents?: number;
}

/** Everything up to here has been sent. */
interface Place {
  readonly sequence: bigint;
  /** The token of the event at the sequence; `null` when that event was never seen. */
  readonly token: string | null;
}

/**
 * Tells watchers of revocations: what this sidecar applies is fed in through {@link CacheControl}, and what a watcher
 * missed before it joined is read from the log.
 *
 * A watcher holds nothing but its place in the history. It takes the event after its place from the shared
 * {@link RecentEvents}, and from the log when it is not there; it sends a sequence only after everything up to it. So a
 * feed that stands still (no lease, no database) delays messages, and can neither lose nor double one. It sends no sign
 * of life then: a revocation may have been confirmed that it has not heard of, and whoever listens must learn of that.
 *
 * - Revocations are `key-revoked` and `key-deleted`. An expiry, also one brought forward by a rotation, is none.
 * - A change that cannot be told as revocations of named keys ends the watch with `history-pruned`: whoever holds keys
 *   must check them all and watch from now on.
 * - When caches start over ({@link forgetAll}), each watcher proves by the token of its place that the history is still
 *   the same and goes on, or ends with `history-pruned`.
 */
export class WatchRevocations implements RevocationWatch, CacheControl {
  private readonly recent: RecentEvents;
  private readonly bells = new Set<Bell>();
  private readonly readQueue: (() => void)[] = [];
  private reads = 0;
  /** Counts the times that the history may have become another one. */
  private epoch = 0;

  constructor(private readonly parts: WatchRevocationsParts) {
    this.recent = new RecentEvents(parts.recentEvents ?? RECENT_EVENTS_MAX);
    parts.metrics.watchers(() => this.bells.size);
  }

  apply(event: HistoryEvent): void {
    this.recent.add(event);
    this.ringAll();
  }

  forgetAll(): void {
    this.recent.clear();
    this.epoch++;
    this.ringAll();
  }

  async *watch({ afterSequence, accountId }: WatchRequest, signal: AbortSignal): AsyncGenerator<WatchMessage, void> {
    const bell = new Bell();
    const heartbeat = new Heartbeat(this.parts.timers, bell);
    this.bells.add(bell);
    try {
      let epoch = this.epoch;
      let place = afterSequence === 0n ? await this.now() : await this.resumeAfter(afterSequence);
      // What was missed so far is read from the log to its end before the feed is looked at, unless all of it is kept.
      let behind = afterSequence !== 0n && this.recent.get(place.sequence) === null;
      let live = false;
      yield heartbeat.at(place);
      while (!signal.aborted) {
        if (epoch !== this.epoch) {
          epoch = this.epoch;
          await this.verify(place, signal);
          behind = true;
          live = false;
        } else if (behind || (!live && this.recent.isBefore(place.sequence))) {
          const page = await this.readAfter(place.sequence);
          for (const event of page.events) {
            const message = told(event, accountId);
            place = event;
            if (message !== null) yield heartbeat.after(message);
            if (signal.aborted) return;
          }
          behind = place.sequence < page.headSequence;
        } else {
          const event = this.recent.get(place.sequence + 1n);
          if (event !== null) {
            live = true;
            const message = told(event, accountId);
            place = event;
            if (message !== null) yield heartbeat.after(message);
          } else if (live && this.recent.isBefore(place.sequence)) {
            this.parts.metrics.watcherCutOff();
            throw new Failure(
              'slow-reader',
              'Too many events were left unread; resume after the last sequence received.',
            );
          } else await bell.wait(signal);
        }
        // After each step, so that events of other accounts do not put off the sign of life.
        if (heartbeat.due) {
          if (this.parts.lease.held() === NO_LEASE) heartbeat.skip();
          else yield heartbeat.at(place);
        }
      }
    } finally {
      this.bells.delete(bell);
      heartbeat.stop();
    }
  }

  /** Where a watch from now on begins: at the newest event that is known here, or else that exists. */
  private async now(): Promise<Place> {
    if (this.recent.last !== null) return this.recent.last;
    const { headSequence } = await this.read(SEQUENCE_MAX, 1);
    if (headSequence === 0n) return { sequence: 0n, token: null };
    const { events } = await this.read(headSequence - 1n, 1);
    const [event] = events;
    return event?.sequence === headSequence ? event : { sequence: headSequence, token: null };
  }

  /** Checks that everything after the sequence can still be told. */
  private async resumeAfter(sequence: bigint): Promise<Place> {
    if (sequence > SEQUENCE_MAX) throw pruned();
    const known = this.recent.get(sequence);
    if (known !== null) return known;
    const { events, headSequence, oldestSequence } = await this.read(sequence - 1n, 1);
    if (sequence > headSequence || sequence + 1n < oldestSequence) throw pruned();
    const [event] = events;
    return event?.sequence === sequence ? event : { sequence, token: null };
  }

  /** The events after a sequence, proven to follow it without a gap. */
  private async readAfter(sequence: bigint): Promise<RevocationPage> {
    const page = await this.read(sequence, PAGE_EVENTS);
    const gapless = page.events.every((event, index) => event.sequence === sequence + BigInt(index + 1));
    const complete = page.events.length > 0 || page.headSequence === sequence;
    if (!gapless || !complete) throw pruned();
    return page;
  }

  /** Resolves when the history still holds the event of the place. Rejects `history-pruned` when it does not, or when that stays unknown. */
  private async verify(place: Place, signal: AbortSignal): Promise<void> {
    if (place.token === null) throw pruned();
    for (let attempt = 1; attempt <= VERIFY_ATTEMPTS && !signal.aborted; attempt++) {
      const page = await this.read(place.sequence - 1n, 1).catch((error: unknown) => Failure.from(error));
      if (!(page instanceof Failure)) {
        if (page.events[0]?.token === place.token) return;
        throw pruned();
      }
      // Not passed on as `unavailable`: a client would resume by number alone, and could be in another history.
      await pause(this.parts.timers, VERIFY_RETRY_MS, signal);
    }
    if (!signal.aborted) throw pruned();
  }

  /** Reads the log, when it is this reader's turn. */
  private async read(sequence: bigint, limit: number): Promise<RevocationPage> {
    if (this.reads >= READS_MAX) await new Promise<void>((resolve) => this.readQueue.push(resolve));
    else this.reads++;
    try {
      return await this.parts.log.readAfter(sequence, limit);
    } finally {
      // Hands its turn to the next in line, or gives it back.
      const next = this.readQueue.shift();
      if (next === undefined) this.reads--;
      else next();
    }
  }

  private ringAll(): void {
    for (const bell of this.bells) bell.ring();
  }
}

/** Wakes one watcher that waits; rung while it does not, it does nothing. */
class Bell {
  private wake: () => void = () => {};

  ring(): void {
    this.wake();
  }

  /** Resolves at the next ring, or when the signal aborts. */
  wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.wake = () => {
        signal.removeEventListener('abort', this.wake);
        this.wake = () => {};
        resolve();
      };
      signal.addEventListener('abort', this.wake, { once: true });
      if (signal.aborted) this.wake();
    });
  }
}

/** Knows when a watcher has been silent for too long. */
class Heartbeat {
  due = false;
  private cancel: () => void = () => {};

  constructor(
    private readonly timers: Timers,
    private readonly bell: Bell,
  ) {}

  /** A heartbeat that says up to where everything was sent. */
  at({ sequence }: Place): WatchMessage {
    return this.after({ sequence, revocation: null });
  }

  /** Passes a message through and counts the silence from now. */
  after(message: WatchMessage): WatchMessage {
    this.skip();
    return message;
  }

  /** Counts the silence from now, as if something had been sent. */
  skip(): void {
    this.cancel();
    this.due = false;
    this.cancel = this.timers.after(HEARTBEAT_MS, () => {
      this.due = true;
      this.bell.ring();
    });
  }

  stop(): void {
    this.cancel();
  }
}

/** What an event tells a watcher of the account: a revocation, or nothing. Throws when it cannot be told. */
function told(event: HistoryEvent, accountId: string): WatchMessage | null {
  switch (event.kind) {
    case 'key-created':
    case 'key-changed':
    case 'workflow-changed':
      return null;
    case 'key-revoked':
    case 'key-deleted': {
      if (event.keyId === null || event.accountId === null) throw pruned();
      if (accountId !== '' && accountId !== event.accountId) return null;
      return {
        sequence: event.sequence,
        revocation: {
          keyId: event.keyId,
          accountId: event.accountId,
          appId: event.appId ?? '',
          revokedAtMs: event.atMs,
        },
      };
    }
    default:
      // `everything-changed`, and kinds that a newer version writes.
      throw pruned();
  }
}

function pruned(): Failure {
  return new Failure(
    'history-pruned',
    'The revocations after this sequence cannot all be told; check every held key and watch from now on (sequence 0).',
  );
}
