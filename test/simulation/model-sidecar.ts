import { type LeaseAction, LeaseMachine } from '../../src/coherence/lease.js';
import { decide, KEY_ABSENT, OWNERSHIP_NOT_ENFORCED } from '../../src/domain/decide.js';
import type { KeyRecord } from '../../src/domain/key-record.js';
import type { MethodEntry } from '../../src/domain/method-entry.js';
import { Permission } from '../../src/domain/permissions.js';
import type { KeyHash } from '../../src/domain/raw-key.js';
import { Reason } from '../../src/domain/reason.js';
import { type Lease, NO_LEASE } from '../../src/ports/lease.js';
import type { Protections } from '../../src/ports/protections.js';
import type { SingleRead, SingleReads } from '../../src/ports/single-reads.js';
import { CachedKeyStore } from '../../src/store/cached-key-store.js';
import type { Connection } from './connection.js';
import { acknowledge, deregister, type KeyState, type ModelDatabase, register, renew } from './model-database.js';
import type { ModelProcess } from './model-process.js';
import type { Prng } from './prng.js';
import type { Answer, Record } from './record.js';
import { silentMetrics } from './silent-metrics.js';

/** What one sidecar is made of. */
export interface ModelSidecarParts {
  readonly process: ModelProcess;
  readonly connection: Connection;
  readonly database: ModelDatabase;
  readonly prng: Prng;
  readonly protections: Protections;
  readonly record: Record;
  readonly leaseMs: number;
  readonly lossMs: number;
  readonly maxKeys: number;
  readonly nextId: () => string;
  readonly trace: (who: string, what: () => string) => void;
  readonly nowMs: () => number;
  /** To be called in a step that settles a promise. */
  readonly settled: () => void;
}

const METHOD: MethodEntry = {
  name: 'nodes.list',
  permission: Permission.READ,
  target: 'optional',
  apps: true,
  scopedWithoutWorkflow: true,
};

const READ_LIMIT = 6;

/** One incarnation of a sidecar process: the product's own lease machine and cache, with simulated surroundings. */
export class ModelSidecar {
  private readonly machine: LeaseMachine;
  private readonly cache: CachedKeyStore;
  private timer = 0;
  private stopped = false;
  private hit = false;
  /** True time of the newest attempt's beginning, and of the one that gave the lease. */
  private attemptFromMs = 0;
  private leaseFromMs: number | null = null;

  constructor(private readonly parts: ModelSidecarParts) {
    const { protections, prng } = parts;
    this.machine = new LeaseMachine({
      leaseMs: parts.leaseMs,
      lossMs: parts.lossMs,
      nextId: parts.nextId,
      random: () => prng.next(),
      readLimit: READ_LIMIT,
      protections,
    });
    const lease: Lease = {
      held: () => this.machine.held(this.clock.monotonicMs(), this.clock.wallMs()),
      heldAt: (monotonicMs, wallMs) => this.machine.held(monotonicMs, wallMs),
      heldOnLoss: () => this.machine.heldOnLoss(this.clock.monotonicMs(), this.clock.wallMs()),
    };
    this.cache = new CachedKeyStore(
      {
        reads: this.reads(),
        lease,
        metrics: silentMetrics(
          () => {
            this.hit = true;
          },
          () => this.noteUnleased(),
        ),
        maxKeys: parts.maxKeys,
      },
      protections,
    );
  }

  get process(): ModelProcess {
    return this.parts.process;
  }

  get connection(): Connection {
    return this.parts.connection;
  }

  start(): void {
    this.process.deliver(() => this.run(this.machine.tick(this.now())));
  }

  /** A notification arrived. */
  hint(): void {
    if (!this.stopped) this.run(this.machine.hint(this.now()));
  }

  /** Stops in good order. */
  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.run(this.machine.stop());
  }

  /** Asks about a key; to be called inside the process. `answered` is not called when there is no decision. */
  ask(key: string, answered: (answer: Answer, fromMemory: boolean) => void, undecided: () => void): void {
    this.hit = false;
    // The way of the authorizer: memory at one reading of the clocks, then the look-up that may read.
    const lease = this.machine.held(this.clock.monotonicMs(), this.clock.wallMs());
    const known = lease === NO_LEASE ? undefined : this.cache.recall(key as KeyHash, lease);
    const finding = known === undefined ? this.cache.find(key as KeyHash) : known;
    if (!(finding instanceof Promise)) {
      if (this.hit) this.noteMemoryUse(key, this.parts.leaseMs);
      answered(answerOf(finding), this.hit);
      return;
    }
    this.parts.settled();
    finding.then((value) => answered(answerOf(value), false), undecided);
  }

  private get clock() {
    return this.process.clock;
  }

  private now() {
    // The wall clock first: see `LeaseDriver`.
    const wallMs = this.clock.wallMs();
    return { monotonicMs: this.clock.monotonicMs(), wallMs };
  }

  private noteUnleased(): void {
    this.parts.record.unleased += 1;
    this.noteMemoryUse('a key', this.parts.leaseMs + this.parts.lossMs);
  }

  private noteMemoryUse(key: string, leaseMs: number): void {
    this.parts.record.memoryUses.push({
      sidecar: this.process.name,
      key,
      atMs: this.parts.nowMs(),
      leaseFromMs: this.leaseFromMs,
      leaseMs,
    });
  }

  private run(actions: readonly LeaseAction[]): void {
    for (const action of actions) this.carryOut(action);
    this.schedule();
  }

  private schedule(): void {
    if (this.stopped) return;
    const timer = ++this.timer;
    this.process.at(Math.max(this.clock.monotonicMs() + 1, this.machine.dueAtMs), () => {
      if (timer === this.timer && !this.stopped) this.run(this.machine.tick(this.now()));
    });
  }

  private carryOut(action: LeaseAction): void {
    const { connection, database, trace } = this.parts;
    const name = this.process.name;
    switch (action.kind) {
      case 'apply':
        trace(name, () => `applies ${action.event.kind} ${action.event.keyHash} #${action.event.sequence}`);
        this.cache.apply(action.event);
        return;
      case 'forget-all':
        trace(name, () => 'forgets everything');
        this.leaseFromMs = null;
        this.cache.forgetAll();
        return;
      case 'register':
        this.attemptFromMs = this.parts.nowMs();
        trace(name, () => `sends register ${action.renewal.sidecarId}`);
        connection.write(
          register(action.renewal),
          (inserted) =>
            this.run(
              inserted
                ? this.machine.registeredRow(action.call, this.now())
                : this.machine.failed(action.call, this.now()),
            ),
          () => this.run(this.machine.failed(action.call, this.now())),
        );
        return;
      case 'renew':
        this.attemptFromMs = this.parts.nowMs();
        trace(name, () => `sends renew ${action.renewal.sidecarId} attempt ${action.renewal.attempt}`);
        connection.write(
          renew(action.renewal),
          (updated) => this.run(this.machine.renewedRow(action.call, updated, this.now())),
          () => this.run(this.machine.failed(action.call, this.now())),
        );
        return;
      case 'read':
        connection.read(
          () => database.readHistory(action.after, READ_LIMIT),
          (reading) => this.run(this.machine.readHistory(action.call, reading, this.now())),
          () => this.run(this.machine.failed(action.call, this.now())),
        );
        return;
      case 'acknowledge':
        trace(name, () => `sends acknowledge #${action.position.sequence}`);
        connection.writeLocally(
          acknowledge(action.sidecarId, action.position),
          (accepted) => this.run(this.machine.acknowledged(action.call, accepted, this.now())),
          () => this.run(this.machine.failed(action.call, this.now())),
        );
        return;
      case 'deregister':
        trace(name, () => `sends deregister ${action.sidecarId}`);
        connection.write(
          deregister(action.sidecarId),
          () => {},
          () => {},
        );
        return;
      case 'report':
        if (action.outcome === 'renewed') this.leaseFromMs = this.attemptFromMs;
        trace(name, () => `${action.outcome} ${action.detail}`);
        return;
      default:
        action satisfies never;
    }
  }

  private reads(): SingleReads<KeyHash, KeyRecord> {
    const { connection, database, prng, process, settled, trace } = this.parts;
    return {
      read: (key) => {
        let resolve: (value: KeyRecord | null) => void = () => {};
        let reject: (error: unknown) => void = () => {};
        const value = new Promise<KeyRecord | null>((onValue, onError) => {
          resolve = onValue;
          reject = onError;
        });
        const read = { sent: false, value };
        const send = () => {
          read.sent = true;
          trace(process.name, () => `sends a read of ${key}`);
          connection.read(
            () => database.stateOf(key),
            (state) => {
              settled();
              resolve(recordOf(key, state));
            },
            (error) => {
              settled();
              reject(error);
            },
          );
        };
        // Reads of one turn are gathered; past the bound on statements in flight they wait longer.
        process.after(prng.chance(0.1) ? prng.between(1, 60) : 0.1, send);
        return read satisfies SingleRead<KeyRecord>;
      },
    };
  }
}

function recordOf(key: string, state: KeyState | null): KeyRecord | null {
  if (state === null) return null;
  return {
    id: key,
    accountId: 'account',
    workflowId: '',
    permissions: Permission.READ,
    appId: '',
    expiresAtMs: Number.POSITIVE_INFINITY,
    revoked: state === 'revoked',
  };
}

function answerOf(record: KeyRecord | null): Answer {
  const reason = decide(record ?? KEY_ABSENT, OWNERSHIP_NOT_ENFORCED, METHOD, '', 0);
  if (reason === Reason.GRANTED) return 'granted';
  if (reason === Reason.KEY_REVOKED) return 'revoked';
  if (reason === Reason.KEY_UNKNOWN) return 'unknown';
  throw new Error(`a bare key cannot be answered with reason ${reason}`);
}
