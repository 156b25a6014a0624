import type { Protections } from '../../src/ports/protections.js';
import { Agenda } from './agenda.js';
import { check, type Violation } from './check.js';
import { Connection, type Weather } from './connection.js';
import { ModelClock } from './model-clock.js';
import { changeKeys, insertStranger, loseHead, ModelDatabase, prune, truncateKeys } from './model-database.js';
import { ModelProcess } from './model-process.js';
import { ModelSidecar } from './model-sidecar.js';
import { ModelWriter } from './model-writer.js';
import { Prng } from './prng.js';
import { Record } from './record.js';

/** How often each thing happened. */
export type Counts = { [name: string]: number };

/** The outcome of one schedule. */
export interface ScheduleResult {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly counts: Counts;
  /** Lines of what happened, when it was asked for. */
  readonly trace: readonly string[];
}

/** Kinds of trouble; a schedule has one to three of them. */
const TROUBLES = [
  'partition',
  'partition',
  'stop',
  'sleep',
  'step',
  'kill',
  'leave',
  'database-restart',
  'failover',
  'failover',
  'restore',
  'prune',
  'strangers',
  'head-lost',
  'truncate',
] as const;
type Trouble = (typeof TROUBLES)[number];

/** One sidecar's place: a machine with its clock and link, and the incarnations that run there one after another. */
interface Place {
  readonly name: string;
  readonly clock: ModelClock;
  readonly weather: Weather;
  readonly deadlineMs: number;
  readonly leaseMs: number;
  readonly lossMs: number;
  readonly listens: boolean;
  sidecar: ModelSidecar;
  incarnations: number;
}

/** Plays the schedule that a seed stands for. The same seed and protections always give the same result. */
export async function runSchedule(seed: number, protections: Protections, traced = false): Promise<ScheduleResult> {
  return new Schedule(seed, protections, traced).run();
}

class Schedule {
  private readonly prng: Prng;
  private readonly agenda = new Agenda();
  private readonly database: ModelDatabase;
  private readonly record = new Record();
  private readonly counts: Counts = {};
  private readonly lines: string[] = [];
  private readonly places: Place[] = [];
  private readonly writers: ModelWriter[] = [];
  private readonly keys: string[] = [];
  private readonly baseLeaseMs: number;
  private readonly maxKeys: number;
  /** Whether this schedule goes on, without faults, until everybody must agree with the database. */
  private readonly mustAgree: boolean;
  private longestLeaseMs = 0;
  private ids = 0;
  private restores = 0;
  private calm = false;
  private sleeps = false;

  constructor(
    private readonly seed: number,
    private readonly protections: Protections,
    private readonly traced: boolean,
  ) {
    this.prng = new Prng(seed);
    this.database = new ModelDatabase(this.nextId('t'));
    this.baseLeaseMs = this.prng.pick([400, 600, 800]);
    this.mustAgree = this.prng.chance(0.25);
    this.maxKeys = this.prng.chance(0.1) ? 2 : 8;
  }

  async run(): Promise<ScheduleResult> {
    const { prng, agenda, baseLeaseMs } = this;
    this.buildWorld();
    const endMs = baseLeaseMs * prng.between(3.5, 6);
    this.planChanges(endMs);
    this.planQuestions(endMs);
    this.planTroubles(endMs);
    await agenda.runUntil(endMs);
    if (this.mustAgree) await this.settleDown();
    const violations = [...check(this.record, this.longestLeaseMs), ...this.disagreements];
    this.count('schedules', 1);
    this.count('questions', this.record.questions.length);
    this.count('answersFromMemory', this.record.memoryUses.length);
    this.count('answersFromMemoryWithoutLease', this.record.unleased);
    this.count('questionsUndecided', this.record.undecided);
    return { seed: this.seed, violations, counts: this.counts, trace: this.lines };
  }

  // The world.

  private buildWorld(): void {
    const { prng, database } = this;
    this.database.onEvent = () => this.notify();
    const keyCount = 3 + prng.int(3);
    for (let i = 0; i < keyCount; i++) {
      const key = `K${i}`;
      this.keys.push(key);
      database.commit(changeKeys([{ key, kind: 'key-created', token: this.nextId('t') }]), true);
      this.record.created.set(key, { atMs: 0, settled: true });
    }
    if (prng.chance(0.3)) database.commit(prune(prng.int(2)), true);
    const sidecarCount = prng.pick([1, 2, 2, 3]);
    const varied = prng.chance(0.3);
    const lossMs = prng.chance(0.15) ? prng.pick([100, 300]) : 0;
    for (let i = 0; i < sidecarCount; i++) {
      const leaseMs = varied ? Math.round(this.baseLeaseMs * prng.pick([0.75, 1, 1.5])) : this.baseLeaseMs;
      this.longestLeaseMs = Math.max(this.longestLeaseMs, leaseMs + lossMs);
      const clock = this.makeClock();
      const place = {
        name: `S${i}`,
        clock,
        weather: this.makeWeather(),
        deadlineMs: leaseMs * prng.pick([0.4, 1, 1.8]),
        leaseMs,
        lossMs,
        listens: prng.chance(0.7),
        incarnations: 0,
      } as Place;
      this.places.push(place);
      this.startSidecar(place);
    }
    const writerCount = prng.pick([1, 2]);
    for (let i = 0; i < writerCount; i++) {
      const process = new ModelProcess(`W${i}`, this.agenda, this.makeClock());
      const deadlineMs = this.baseLeaseMs * prng.pick([0.5, 1.5]);
      this.writers.push(
        new ModelWriter({
          process,
          connection: new Connection(this.agenda, prng, database, process, this.makeWeather(), deadlineMs),
          database,
          protections: this.protections,
          nextToken: () => this.nextId('t'),
          trace: this.trace,
        }),
      );
    }
  }

  private makeClock(): ModelClock {
    const { prng } = this;
    const rate = prng.chance(0.6) ? prng.pick([0.95, 1.05]) : prng.between(0.95, 1.05);
    // Before 1970 is a time like any other.
    return new ModelClock(this.agenda, rate, prng.between(0, 1e6), prng.pick([-1e9, 1.7e12]));
  }

  private makeWeather(): Weather {
    const { prng } = this;
    return {
      usualMs: prng.pick([1, 3, 8]),
      slowChance: prng.pick([0, 0.02, 0.1]),
      slowMs: this.baseLeaseMs * prng.pick([0.3, 1, 1.6]),
      lossChance: prng.pick([0, 0, 0.02, 0.1]),
    };
  }

  private startSidecar(place: Place): void {
    const { agenda, database, prng } = this;
    place.incarnations += 1;
    const process = new ModelProcess(`${place.name}.${place.incarnations}`, agenda, place.clock);
    const connection = new Connection(agenda, prng, database, process, place.weather, place.deadlineMs);
    if (this.calm) connection.calmDown();
    place.sidecar = new ModelSidecar({
      process,
      connection,
      database,
      prng,
      protections: this.protections,
      record: this.record,
      leaseMs: place.leaseMs,
      lossMs: place.lossMs,
      maxKeys: this.maxKeys,
      nextId: () => this.nextId('id'),
      trace: this.trace,
      nowMs: () => agenda.nowMs,
      settled: () => agenda.settled(),
    });
    const { sidecar } = place;
    agenda.after(prng.between(0, 20), () => sidecar.start());
  }

  private notify(): void {
    for (const { sidecar, listens } of this.places) {
      if (!listens) continue;
      const copies = this.prng.chance(0.1) ? 2 : 1;
      for (let i = 0; i < copies; i++) sidecar.connection.push(() => sidecar.hint());
    }
  }

  // What people do.

  private planChanges(endMs: number): void {
    const { prng } = this;
    const fromMs = this.baseLeaseMs * 0.5;
    const revocable = [...this.keys];
    const revocations = 1 + prng.int(revocable.length);
    for (let i = 0; i < revocations && revocable.length > 0; i++) {
      const keys = revocable.splice(0, prng.chance(0.15) ? 2 : 1);
      this.planRevocation(prng.between(fromMs, endMs), keys);
    }
    const creations = prng.int(3);
    for (let i = 0; i < creations; i++) {
      const key = `N${i}`;
      const atMs = prng.between(fromMs, endMs);
      // A key that its creator alone can name, or one that others try before it exists.
      if (prng.chance(0.6)) {
        this.keys.push(key);
        for (const place of this.places) this.askAt(atMs - prng.between(0, 0.3 * this.baseLeaseMs), place, key);
      }
      this.agenda.after(atMs, () => this.create(key));
    }
  }

  private planRevocation(atMs: number, keys: readonly string[]): void {
    const { prng } = this;
    for (const place of this.places) {
      for (const key of keys) if (prng.chance(0.6)) this.askAt(atMs + prng.between(-12, 6), place, key);
    }
    this.agenda.after(atMs, () => this.revoke(keys));
  }

  private revoke(keys: readonly string[]): void {
    const { restores } = this;
    this.count('revocationsBegun', 1);
    this.prng.pick(this.writers).revoke(keys, (found) => {
      if (restores !== this.restores) return;
      this.count('revocationsConfirmed', 1);
      for (const key of found) {
        this.trace('client', () => `hears that ${key} is revoked`);
        if (!this.record.revoked.has(key)) this.record.revoked.set(key, this.agenda.nowMs);
        this.askAround(key);
      }
    });
  }

  private create(key: string): void {
    const { restores } = this;
    this.count('creationsBegun', 1);
    this.prng.pick(this.writers).create(key, this.baseLeaseMs * 0.4, (settled) => {
      if (restores !== this.restores) return;
      this.count('creationsConfirmed', 1);
      this.trace('client', () => `hears that ${key} is created${settled ? ', known everywhere' : ''}`);
      this.record.created.set(key, { atMs: this.agenda.nowMs, settled });
      if (!this.keys.includes(key)) this.keys.push(key);
      this.askAround(key);
    });
  }

  /** Plain SQL: no barrier. */
  private changeDirectly(key: string, kind: 'key-revoked' | 'key-deleted', synchronous: boolean): void {
    const { database, record, agenda } = this;
    if (!database.up || (synchronous && database.stalled)) return;
    this.count('directChanges', 1);
    this.trace('psql', () => `${kind} ${key}${synchronous ? '' : ', on the primary alone'}`);
    if (kind === 'key-deleted')
      record.deleted.set(key, Math.min(agenda.nowMs, record.deleted.get(key) ?? agenda.nowMs));
    const found = database.commit(changeKeys([{ key, kind, token: this.nextId('t') }]), synchronous);
    if (synchronous && found.length > 0) record.revokedDirectly.set(key, agenda.nowMs);
  }

  private planQuestions(endMs: number): void {
    const { prng, baseLeaseMs } = this;
    const fillChance = prng.pick([0.3, 0.9]);
    for (const place of this.places) {
      for (const key of this.keys) {
        if (prng.chance(fillChance)) this.askAt(baseLeaseMs * prng.between(0.1, 0.5), place, key);
      }
      const random = 4 + prng.int(8);
      for (let i = 0; i < random; i++) this.askAt(prng.between(0, endMs), place, prng.pick(this.keys));
    }
  }

  /** Asks every sidecar, soon and within a lease. */
  private askAround(key: string): void {
    const { prng, agenda, baseLeaseMs } = this;
    for (const place of this.places) {
      this.askAt(agenda.nowMs + 0.01, place, key);
      this.askAt(agenda.nowMs + prng.between(0, 0.12) * baseLeaseMs, place, key);
      if (prng.chance(0.4)) this.askAt(agenda.nowMs + prng.between(0, 1.2) * baseLeaseMs, place, key);
    }
  }

  private askAt(atMs: number, place: Place, key: string): void {
    this.agenda.after(atMs - this.agenda.nowMs, () => this.ask(place, key, () => {}));
  }

  private ask(place: Place, key: string, seen: (answer: string, fromMemory: boolean) => void): void {
    const { agenda, record } = this;
    const { sidecar } = place;
    const askedAtMs = agenda.nowMs;
    record.ask(key, askedAtMs);
    if (!sidecar.process.alive) {
      record.undecided += 1;
      return;
    }
    sidecar.process.deliver(() =>
      sidecar.ask(
        key,
        (answer, fromMemory) => {
          const source = fromMemory ? 'memory' : 'the database';
          this.trace(
            sidecar.process.name,
            () => `answers ${key}, asked at ${askedAtMs.toFixed(1)}: ${answer} (${source})`,
          );
          record.questions.push({
            key,
            sidecar: sidecar.process.name,
            askedAtMs,
            answeredAtMs: agenda.nowMs,
            answer,
          });
          seen(answer, fromMemory);
        },
        () => {
          record.undecided += 1;
        },
      ),
    );
  }

  // What goes wrong.

  private planTroubles(endMs: number): void {
    const { prng } = this;
    const troubles = Array.from({ length: 1 + prng.int(3) }, () => prng.pick(TROUBLES));
    this.sleeps = troubles.includes('sleep');
    for (const trouble of troubles) {
      const atMs = prng.between(this.baseLeaseMs * 0.4, endMs * 0.8);
      this.agenda.after(atMs, () => this.begin(trouble));
    }
    const direct = prng.chance(0.3) ? 1 + prng.int(2) : 0;
    for (let i = 0; i < direct; i++) {
      const key = prng.pick(this.keys);
      const kind = prng.pick(['key-revoked', 'key-deleted'] as const);
      const synchronous = prng.chance(0.6);
      this.agenda.after(prng.between(0.4 * this.baseLeaseMs, endMs), () => this.changeDirectly(key, kind, synchronous));
    }
  }

  private begin(trouble: Trouble): void {
    const { prng, agenda, database, baseLeaseMs } = this;
    this.count(trouble, 1);
    const place = prng.pick(this.places);
    const { process, connection } = place.sidecar;
    const lastsMs = baseLeaseMs * prng.pick([prng.between(0.02, 0.3), prng.between(0.5, 1.6)]);
    switch (trouble) {
      case 'partition': {
        const victim = prng.chance(0.8) ? { process, connection } : prng.pick(this.writers);
        this.trace('trouble', () => `${victim.process.name} is cut off for ${lastsMs.toFixed(0)} ms`);
        victim.connection.sever();
        agenda.after(lastsMs, () => victim.connection.mend());
        return;
      }
      case 'stop':
      case 'sleep': {
        const victim = prng.chance(0.8) ? process : prng.pick(this.writers).process;
        this.trace('trouble', () => `${victim.name} ${trouble}s for ${lastsMs.toFixed(0)} ms`);
        victim.stop(lastsMs, trouble === 'sleep');
        return;
      }
      case 'step': {
        // A small step back could hide a sleep of the same length: that is outside the guarantee.
        const byMs = prng.pick([3_600_000, -3_600_000, 400, 30, this.sleeps ? 30 : -30]);
        this.trace('trouble', () => `the wall clock of ${place.name} steps by ${byMs} ms`);
        place.clock.step(byMs);
        return;
      }
      case 'kill':
        if (prng.chance(0.15)) {
          const { process: writer } = prng.pick(this.writers);
          this.trace('trouble', () => `${writer.name} is killed`);
          writer.kill();
          return;
        }
        this.trace('trouble', () => `${process.name} is killed`);
        process.kill();
        agenda.after(lastsMs, () => this.startSidecar(place));
        return;
      case 'leave': {
        const { sidecar } = place;
        this.trace('trouble', () => `${process.name} stops in good order`);
        process.deliver(() => sidecar.stop());
        agenda.after(lastsMs, () => {
          process.kill();
          this.startSidecar(place);
        });
        return;
      }
      case 'database-restart':
        this.trace('trouble', () => `the database is down for ${lastsMs.toFixed(0)} ms`);
        database.up = false;
        agenda.after(lastsMs, () => this.bringUp());
        return;
      case 'failover':
        this.failOver();
        return;
      case 'restore':
        this.restore();
        return;
      case 'prune': {
        const kept = prng.int(3);
        this.trace('trouble', () => `events are pruned but ${kept}`);
        if (database.up && !database.stalled) database.commit(prune(kept), true);
        return;
      }
      case 'strangers':
        this.strangers();
        return;
      case 'head-lost':
        if (!database.up || database.stalled) return;
        this.trace('trouble', () => 'the head is deleted by hand, and made again');
        database.commit(loseHead(this.nextId('t')), true);
        return;
      case 'truncate':
        this.truncate();
        return;
      default:
        trouble satisfies never;
    }
  }

  private bringUp(): void {
    this.database.up = true;
    this.unblock();
  }

  private unblock(): void {
    for (const { sidecar } of this.places) sidecar.connection.unblock();
    for (const writer of this.writers) writer.connection.unblock();
  }

  /** The standby falls behind, the primary dies, the standby takes over with what it has. */
  private failOver(): void {
    const { prng, agenda, database, baseLeaseMs } = this;
    if (!database.up || database.stalled) return;
    this.trace('trouble', () => 'the standby stalls');
    database.stalled = true;
    const changes = prng.int(3);
    for (let i = 0; i < changes; i++) {
      const kind = prng.pick(['key-revoked', 'key-deleted'] as const);
      agenda.after(prng.between(0, 0.1) * baseLeaseMs, () => {
        if (database.stalled) this.changeDirectly(prng.pick(this.keys), kind, false);
      });
    }
    for (const place of this.places) {
      if (prng.chance(0.5)) this.askAt(agenda.nowMs + prng.between(0, 0.15) * baseLeaseMs, place, prng.pick(this.keys));
    }
    agenda.after(baseLeaseMs * prng.between(0.05, 0.3), () => {
      database.up = false;
      if (prng.chance(0.15)) {
        this.trace('trouble', () => 'the primary crashes and comes back');
        agenda.after(20, () => {
          database.stalled = false;
          database.replicate(database.unreplicatedCount);
          this.bringUp();
        });
        return;
      }
      agenda.after(baseLeaseMs * prng.between(0.01, 0.15), () => {
        const lost = prng.int(database.unreplicatedCount + 1);
        this.trace('trouble', () => `the standby takes over; ${lost} commits are lost`);
        this.count('commitsLost', lost);
        database.promote(database.unreplicatedCount - lost);
        this.bringUp();
        const key = prng.pick(this.keys);
        if (prng.chance(0.7)) this.planRevocation(agenda.nowMs + prng.between(0, 20), [key]);
      });
    });
  }

  /** A backup is restored, with writers and readers kept out for the longest lease. */
  private restore(): void {
    const { prng, agenda, database, record } = this;
    database.takeBackup();
    agenda.after(this.baseLeaseMs * prng.between(0.05, 1), () => {
      if (!database.up || database.stalled) return;
      this.trace('trouble', () => 'the database is lost');
      database.up = false;
      agenda.after(this.longestLeaseMs, () => {
        this.trace('trouble', () => 'a backup is restored');
        // A copy of the volume continues the same line of history; whoever puts it in place deletes the head.
        database.restore(prng.chance(0.3) ? this.nextId('t') : null);
        this.restores += 1;
        this.count('restored', 1);
        // Of what was confirmed, that remains which the backup holds.
        for (const key of [...record.revoked.keys(), ...record.revokedDirectly.keys()]) {
          if (database.stateOf(key) === 'valid') {
            record.revoked.delete(key);
            record.revokedDirectly.delete(key);
          }
        }
        for (const key of record.created.keys()) if (database.stateOf(key) === null) record.created.delete(key);
        this.bringUp();
        if (prng.chance(0.7)) this.planRevocation(agenda.nowMs + prng.between(0, 20), [prng.pick(this.keys)]);
      });
    });
  }

  private truncate(): void {
    const { prng, agenda, database, record } = this;
    // Nothing is left to be revoked afterwards.
    if (!database.up || database.stalled || prng.chance(0.7)) return;
    this.trace('psql', () => 'truncates the table of keys');
    for (const key of database.keys()) {
      if (!record.deleted.has(key)) record.deleted.set(key, agenda.nowMs);
      record.revokedDirectly.set(key, agenda.nowMs);
    }
    database.commit(truncateKeys(this.nextId('t')), true);
  }

  private strangers(): void {
    const { prng, database } = this;
    if (!database.up || database.stalled) return;
    const row = {
      id: this.nextId('stranger'),
      renewals: prng.pick([0, 1, 1_000_000]),
      leaseMs: prng.pick([0, -50, 1, this.longestLeaseMs]),
      appliedSequence: prng.pick([-1n, 0n, 3n, 1_000_000n]),
    };
    this.trace('trouble', () => `a stranger's row ${row.id}, lease ${row.leaseMs} ms`);
    database.commit(insertStranger(row), true);
  }

  // The end: no more faults, and everybody must come to agree with the database.

  private readonly disagreements: Violation[] = [];

  private async settleDown(): Promise<void> {
    const { agenda, database } = this;
    this.calm = true;
    this.trace('trouble', () => 'the faults are over');
    for (const { sidecar } of this.places) sidecar.connection.calmDown();
    for (const { connection } of this.writers) connection.calmDown();
    // Stops, outages and statements on their way end within this.
    await agenda.runUntil(agenda.nowMs + 2.5 * this.longestLeaseMs);
    database.stalled = false;
    database.up = true;
    this.unblock();
    // A revocation that is repeated now would only move the goal.
    for (const { process } of this.writers) process.kill();
    await agenda.runUntil(agenda.nowMs + 2 * this.longestLeaseMs);
    for (const place of this.places) {
      for (const key of this.keys) {
        this.ask(place, key, (answer) => {
          const truth = this.truthOf(key);
          if (answer !== truth)
            this.disagree(place, key, `${place.name} says ${answer} of ${key}, the database says ${truth}`);
        });
      }
    }
    await agenda.runUntil(agenda.nowMs + 200);
    if (this.maxKeys < this.keys.length) return;
    for (const place of this.places) {
      for (const key of this.keys) {
        this.ask(place, key, (_answer, fromMemory) => {
          if (!fromMemory) this.disagree(place, key, `${place.name} does not answer ${key} from memory`);
        });
      }
    }
    await agenda.runUntil(agenda.nowMs + 100);
  }

  private truthOf(key: string): string {
    const state = this.database.stateOf(key);
    if (state === null) return 'unknown';
    return state === 'valid' ? 'granted' : 'revoked';
  }

  private disagree(place: Place, key: string, detail: string): void {
    const sidecar = place.sidecar.process.name;
    this.disagreements.push({
      rule: 'agreement',
      sidecar,
      key,
      atMs: this.agenda.nowMs,
      detail: `after the faults were over, ${detail}`,
    });
  }

  // Small things.

  private nextId(prefix: string): string {
    return `${prefix}${this.ids++}`;
  }

  private count(name: string, by: number): number {
    const sum = (this.counts[name] ?? 0) + by;
    this.counts[name] = sum;
    return sum;
  }

  private readonly trace = (who: string, what: () => string): void => {
    if (this.traced) this.lines.push(`${this.agenda.nowMs.toFixed(1).padStart(8)}  ${who.padEnd(8)}${what()}`);
  };
}
