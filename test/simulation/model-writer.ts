import { BarrierWait } from '../../src/coherence/barrier-wait.js';
import type { BarrierReading } from '../../src/ports/history.js';
import type { Protections } from '../../src/ports/protections.js';
import type { Connection } from './connection.js';
import { changeKeys, forget, type KeyChange, type ModelDatabase } from './model-database.js';
import type { ModelProcess } from './model-process.js';

/** What one writer is made of. */
export interface ModelWriterParts {
  readonly process: ModelProcess;
  readonly connection: Connection;
  readonly database: ModelDatabase;
  readonly protections: Protections;
  readonly nextToken: () => string;
  readonly trace: (who: string, what: () => string) => void;
}

const POLL_DELAYS_MS = [3, 6, 12, 24, 48] as const;
const POLL_DELAY_LAST_MS = 70;
const FIRST_READING_ATTEMPTS = 12;
const FIRST_READING_RETRY_MS = 50;
/** How often a caller who got no confirmation repeats the call. */
const CALLS = 4;

/** A process that changes keys through the product: COMMIT, then the product's own barrier. */
export class ModelWriter {
  constructor(private readonly parts: ModelWriterParts) {}

  get process(): ModelProcess {
    return this.parts.process;
  }

  get connection(): Connection {
    return this.parts.connection;
  }

  /**
   * Revokes in one transaction; `confirmed` is called with the keys that exist when the barrier is over. Repeats an
   * unconfirmed call.
   */
  revoke(keys: readonly string[], confirmed: (found: readonly string[]) => void, call = 1): void {
    if (!this.process.alive) return;
    this.parts.trace(this.process.name, () => `sends the revocation of ${keys.join(', ')}`);
    this.change(
      keys.map((key) => ({ key, kind: 'key-revoked', token: this.parts.nextToken() })),
      (committedMs, found) =>
        this.confirm(committedMs, (proven) => {
          if (proven) confirmed(found);
          else if (call < CALLS) this.revoke(keys, confirmed, call + 1);
        }),
      () => {
        if (call < CALLS) this.process.after(20, () => this.revoke(keys, confirmed, call + 1));
      },
    );
  }

  /** Creates a key and waits, at most `atMostMs`, until every sidecar knows; `created` tells whether they do. */
  create(key: string, atMostMs: number, created: (settled: boolean) => void): void {
    this.change(
      [{ key, kind: 'key-created', token: this.parts.nextToken() }],
      (committedMs) => this.settle(committedMs, atMostMs, created),
      () => {},
    );
  }

  private change(
    changes: readonly KeyChange[],
    committed: (atMs: number, keys: readonly string[]) => void,
    failed: () => void,
  ): void {
    this.parts.connection.write(
      changeKeys(changes),
      (found) => {
        this.parts.trace(this.process.name, () => 'learns that its COMMIT is confirmed');
        committed(this.process.clock.monotonicMs(), found);
      },
      failed,
    );
  }

  private confirm(committedMs: number, done: (proven: boolean) => void): void {
    this.begin(committedMs, FIRST_READING_ATTEMPTS, (wait) => {
      if (wait === null) {
        done(false);
        return;
      }
      this.follow(wait, Number.POSITIVE_INFINITY, () => {
        const rows = wait.waitedOut(this.process.clock.monotonicMs());
        const { acknowledged, expired } = wait.outcome;
        this.parts.trace(this.process.name, () => `ends its barrier: ${acknowledged} acknowledged, ${expired} expired`);
        done(true);
        if (rows.length === 0) return;
        this.parts.trace(this.process.name, () => `sends forget ${rows.map((row) => row.id).join(', ')}`);
        this.connection.write(
          forget(rows),
          () => {},
          () => {},
        );
      });
    });
  }

  private settle(committedMs: number, atMostMs: number, done: (settled: boolean) => void): void {
    let open = true;
    const end = (settled: boolean) => {
      if (!open) return;
      open = false;
      done(settled);
    };
    this.process.after(atMostMs, () => end(false));
    this.begin(committedMs, 1, (wait) => {
      if (wait === null) end(false);
      else this.follow(wait, committedMs + atMostMs, end);
    });
  }

  private begin(committedMs: number, attempts: number, begun: (wait: BarrierWait | null) => void): void {
    this.readRows(
      (first) => {
        const arrivedMs = this.process.clock.monotonicMs();
        const fromMs = this.parts.protections.waitAfterRead ? arrivedMs : committedMs;
        this.parts.trace(
          this.process.name,
          () =>
            `reads head #${first.head.sequence} and rows ${first.sidecars.map((row) => row.id).join(', ') || 'none'}`,
        );
        begun(new BarrierWait(first, fromMs, this.parts.protections));
      },
      () => {
        if (attempts <= 1) begun(null);
        else this.process.after(FIRST_READING_RETRY_MS, () => this.begin(committedMs, attempts - 1, begun));
      },
    );
  }

  private follow(wait: BarrierWait, untilMs: number, over: (proven: boolean) => void, looks = 0): void {
    const nowMs = this.process.clock.monotonicMs();
    if (wait.over(nowMs)) {
      over(true);
      return;
    }
    if (nowMs >= untilMs) {
      over(false);
      return;
    }
    const delayMs = POLL_DELAYS_MS[looks] ?? POLL_DELAY_LAST_MS;
    this.process.at(Math.min(nowMs + delayMs, wait.deadlineMs, untilMs), () => {
      let next = () => {
        next = () => {};
        this.follow(wait, untilMs, over, looks + 1);
      };
      if (wait.over(this.process.clock.monotonicMs())) {
        next();
        return;
      }
      this.readRows(
        (reading) => {
          wait.observe(reading, this.process.clock.monotonicMs());
          next();
        },
        () => next(),
      );
      this.process.at(wait.deadlineMs, () => next());
    });
  }

  private readRows(answered: (reading: BarrierReading) => void, failed: () => void): void {
    this.connection.read(() => this.parts.database.readBarrier(), answered, failed);
  }
}
