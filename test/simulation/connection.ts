import { Failure } from '../../src/domain/failure.js';
import type { Agenda } from './agenda.js';
import type { Effect, ModelDatabase } from './model-database.js';
import type { ModelProcess } from './model-process.js';
import type { Prng } from './prng.js';

/** How messages between one process and the database fare. */
export interface Weather {
  /** Usual time of one way, ms. */
  readonly usualMs: number;
  /** Probability that a message takes anything up to {@link slowMs}. */
  readonly slowChance: number;
  readonly slowMs: number;
  /** Probability that a message is lost. */
  readonly lossChance: number;
}

/** One for all: an error takes its time to find out where it was made. */
const UNREACHABLE = new Failure('unavailable', 'The database did not answer.');

/** All connections of one process to the database: each call uses one of its own, so that calls may overtake. */
export class Connection {
  /** Cut off: nothing gets through in either direction until the link is mended. */
  private cut = false;
  private held: (() => void)[] = [];
  private blocked: (() => void)[] = [];
  /** Faults are over: everything arrives, soon. */
  private calm = false;

  constructor(
    private readonly agenda: Agenda,
    private readonly prng: Prng,
    private readonly database: ModelDatabase,
    private readonly process: ModelProcess,
    private readonly weather: Weather,
    private readonly deadlineMs: number,
  ) {}

  /** A statement that only reads. */
  read<T>(statement: () => T, answered: (value: T) => void, failed: (error: Failure) => void): void {
    this.call(statement, null, answered, failed);
  }

  /** A transaction that commits with `synchronous_commit = on`, and is not confirmed when its answer says less. */
  write<T>(effect: Effect<T>, answered: (value: T) => void, failed: (error: Failure) => void): void {
    this.call(() => this.database.commit(effect, true), effect, answered, failed);
  }

  /** A transaction with `synchronous_commit = off`. */
  writeLocally<T>(effect: Effect<T>, answered: (value: T) => void, failed: (error: Failure) => void): void {
    this.call(() => this.database.commit(effect, false), null, answered, failed);
  }

  /** One way from the database, for notifications: `true` when the message was sent on its way. */
  push(run: () => void): void {
    if (this.cut || this.lost()) return;
    this.agenda.after(this.oneWayMs(), () => this.process.deliver(run));
  }

  sever(): void {
    this.cut = true;
  }

  mend(): void {
    this.cut = false;
    const { held } = this;
    this.held = [];
    for (const run of held) this.agenda.after(this.oneWayMs(), run);
  }

  calmDown(): void {
    this.calm = true;
    this.mend();
  }

  /** The standby answers again, or another server has taken over. */
  unblock(): void {
    const { blocked } = this;
    this.blocked = [];
    for (const run of blocked) run();
  }

  private call<T>(
    statement: () => T,
    effect: Effect<T> | null,
    answered: (value: T) => void,
    failed: (error: Failure) => void,
  ): void {
    let settled = false;
    const settle = (run: () => void) => {
      if (settled) return;
      settled = true;
      run();
    };
    const fail = () => settle(() => failed(UNREACHABLE));
    this.process.after(this.deadlineMs, fail);
    const { generation } = this.database;
    this.carry(() => {
      // A statement of a connection to the old server; one in a pooler's queue may reach the new one.
      if (this.database.generation !== generation && !this.prng.chance(0.3)) {
        this.carry(() => this.process.deliver(fail), true);
        return;
      }
      if (!this.database.up) {
        this.carry(() => this.process.deliver(fail), true);
        return;
      }
      const execute = () => {
        const value = statement();
        this.carry(() => this.process.deliver(() => settle(() => answered(value))), true);
      };
      if (effect === null || !this.database.stalled) execute();
      else if (this.prng.chance(0.25)) {
        // The wait for the standby is cancelled: the commit stands, visible and unreplicated, and comes with a warning.
        this.database.commit(effect, false);
        this.carry(() => this.process.deliver(fail), true);
      } else this.block(execute, effect);
    }, false);
  }

  private block<T>(execute: () => void, effect: Effect<T>): void {
    const { generation } = this.database;
    this.blocked.push(() => {
      if (!this.database.up || this.database.stalled) return;
      if (this.database.generation === generation) execute();
      // The standby had received it, or had not; nobody is left to say so.
      else if (this.prng.chance(0.5)) this.database.commit(effect, true);
    });
  }

  /** Takes a message one way, or loses it, or holds it until the link is mended. */
  private carry(run: () => void, answer: boolean): void {
    if (this.lost()) return;
    const arrive = () => {
      if (this.cut) {
        // Either the connection breaks, and what was on it is lost, or it is kept and TCP sends again.
        if (this.prng.chance(answer ? 0.5 : 0.3)) this.held.push(run);
        return;
      }
      run();
    };
    this.agenda.after(this.oneWayMs(), arrive);
  }

  private lost(): boolean {
    return !this.calm && this.prng.chance(this.weather.lossChance);
  }

  private oneWayMs(): number {
    const { usualMs, slowChance, slowMs } = this.weather;
    if (!this.calm && this.prng.chance(slowChance)) return this.prng.between(usualMs, slowMs);
    return usualMs * this.prng.between(0.2, 1.5);
  }
}
