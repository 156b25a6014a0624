import type { HistoryEvent, HistoryEventKind, Position } from '../../src/domain/history-event.js';
import type { KeyHash } from '../../src/domain/raw-key.js';
import type { BarrierReading, HistoryReading, Renewal, SidecarRow } from '../../src/ports/history.js';

/** What the database knows of a key; absent from the table when there is no row. */
export type KeyState = 'valid' | 'revoked';

/** What one server stores. */
export interface Store {
  readonly keys: Map<string, KeyState>;
  events: HistoryEvent[];
  head: Position;
  readonly sidecars: Map<string, SidecarRow>;
}

/** A transaction's effect on a store; pure, so that a standby can repeat it. */
export type Effect<T> = (store: Store) => T;

/** One change of a key, with the token that its event will carry. */
export interface KeyChange {
  readonly key: string;
  readonly kind: Extract<HistoryEventKind, 'key-created' | 'key-revoked' | 'key-deleted'>;
  readonly token: string;
}

/**
 * A primary with a synchronous standby, as far as the protocol can tell one from the real thing.
 *
 * A transaction takes effect, visibly, at one instant. One that commits synchronously is on the standby at that
 * instant, together with everything committed before it (the log is replayed in order), or has not happened yet: until
 * the standby has it, PostgreSQL shows it to nobody. One that commits locally (`synchronous_commit` off or local, or a
 * wait for the standby that was cancelled) is visible and on the primary alone.
 */
export class ModelDatabase {
  private primary: Store;
  private standby: Store;
  /** Effects that the standby does not have, oldest first. */
  private unreplicated: Effect<unknown>[] = [];
  private backup: Store | null = null;

  /** Accepts connections. */
  up = true;
  /** The standby does not answer: synchronous commits hang. */
  stalled = false;
  /** Counts promotions and restores: a connection does not outlive one. */
  generation = 0;
  /** What tells one line of history from another: changes with every promotion and every restore, never otherwise. */
  lineage = 'lineage-0';
  /** Called after every commit that wrote an event. */
  onEvent: () => void = () => {};

  constructor(token: string) {
    this.primary = { keys: new Map(), events: [], head: { sequence: 0n, token }, sidecars: new Map() };
    this.standby = copyOf(this.primary);
  }

  get headSequence(): bigint {
    return this.primary.head.sequence;
  }

  /** What a new statement would see of a key. */
  stateOf(key: string): KeyState | null {
    return this.primary.keys.get(key) ?? null;
  }

  /** The keys that have a row. */
  keys(): readonly string[] {
    return [...this.primary.keys.keys()];
  }

  /** Runs a transaction. Never call it with `synchronous` while {@link stalled}. */
  commit<T>(effect: Effect<T>, synchronous: boolean): T {
    const before = this.primary.head;
    const result = effect(this.primary);
    this.unreplicated.push(effect);
    if (synchronous) this.replicate(this.unreplicated.length);
    if (this.primary.head !== before) this.onEvent();
    return result;
  }

  /** How many transactions only the primary has. */
  get unreplicatedCount(): number {
    return this.unreplicated.length;
  }

  /** The standby catches up with the oldest `count` transactions that it lacks. */
  replicate(count: number): void {
    for (const effect of this.unreplicated.splice(0, count)) effect(this.standby);
  }

  /** The standby becomes the primary, with `received` of the transactions that had not been confirmed to it. */
  promote(received: number): void {
    this.replicate(received);
    this.unreplicated = [];
    this.primary = this.standby;
    this.standby = copyOf(this.primary);
    this.begin();
  }

  takeBackup(): void {
    this.backup = copyOf(this.primary);
  }

  get hasBackup(): boolean {
    return this.backup !== null;
  }

  /**
   * Puts the backup in the place of both servers.
   *
   * @param newHeadToken set when the lineage stays the same, as after restoring a copy of the volume: whoever restores
   * it has to delete the head, which is then made again with this token, beyond a gap
   */
  restore(newHeadToken: string | null): void {
    const { backup, lineage } = this;
    if (backup === null) throw new Error('there is no backup');
    this.primary = copyOf(backup);
    if (newHeadToken !== null) remakeHead(this.primary, newHeadToken);
    this.standby = copyOf(this.primary);
    this.unreplicated = [];
    this.begin();
    if (newHeadToken !== null) this.lineage = lineage;
  }

  private begin(): void {
    this.generation += 1;
    this.lineage = `lineage-${this.generation}`;
    this.stalled = false;
  }

  // Reads, each one statement on the primary.

  readHistory(after: Position | null, limit: number): HistoryReading {
    const { events, head } = this.primary;
    const newer = after === null ? [] : events.filter((event) => event.sequence > after.sequence);
    const overLimit = newer.length > limit;
    return {
      head,
      tokenAtPosition: after === null ? null : tokenAt(this.primary, after.sequence),
      lineage: this.lineage,
      events: overLimit ? [] : newer,
      overLimit,
      databaseNowMs: 0,
    };
  }

  readBarrier(): BarrierReading {
    return { head: this.primary.head, sidecars: [...this.primary.sidecars.values()] };
  }
}

/**
 * Changes keys, in one transaction; returns those that had a row before it or have one now. A change that changes
 * nothing writes no event, yet a synchronous commit of it is one all the same: everything before it is on the standby.
 */
export function changeKeys(changes: readonly KeyChange[]): Effect<readonly string[]> {
  return (store) => {
    const found: string[] = [];
    for (const { key, kind, token } of changes) {
      const before = store.keys.get(key);
      if (before !== undefined || kind === 'key-created') found.push(key);
      if (kind === 'key-created') {
        if (before !== undefined) continue;
        store.keys.set(key, 'valid');
      } else if (kind === 'key-revoked') {
        if (before !== 'valid') continue;
        store.keys.set(key, 'revoked');
      } else if (!store.keys.delete(key)) continue;
      const sequence = store.head.sequence + 1n;
      store.head = { sequence, token };
      store.events = [...store.events, eventOf(kind, key, store.head)];
    }
    return found;
  };
}

/** Step 1 of a renewal, with the rules of `History.renew`. */
export function renew(renewal: Renewal): Effect<boolean> {
  return (store) => {
    const row = store.sidecars.get(renewal.sidecarId);
    if (row === undefined || row.renewals >= renewal.attempt) return false;
    const { position } = renewal;
    const known = position !== null && hasPosition(store, position) && position.sequence > row.appliedSequence;
    store.sidecars.set(row.id, {
      id: row.id,
      renewals: renewal.attempt,
      leaseMs: renewal.leaseMs,
      appliedSequence: known ? position.sequence : row.appliedSequence,
    });
    return true;
  };
}

/** Inserts a row; `false` when the id exists. */
export function register(renewal: Renewal): Effect<boolean> {
  return (store) => {
    if (store.sidecars.has(renewal.sidecarId)) return false;
    store.sidecars.set(renewal.sidecarId, {
      id: renewal.sidecarId,
      renewals: renewal.attempt,
      leaseMs: renewal.leaseMs,
      appliedSequence: -1n,
    });
    return true;
  };
}

export function acknowledge(sidecarId: string, position: Position): Effect<boolean> {
  return (store) => {
    const row = store.sidecars.get(sidecarId);
    if (row === undefined || !hasPosition(store, position)) return false;
    if (position.sequence > row.appliedSequence) {
      store.sidecars.set(sidecarId, { ...row, appliedSequence: position.sequence });
    }
    return true;
  };
}

export function deregister(sidecarId: string): Effect<void> {
  return (store) => void store.sidecars.delete(sidecarId);
}

export function forget(rows: readonly Pick<SidecarRow, 'id' | 'renewals'>[]): Effect<void> {
  return (store) => {
    for (const { id, renewals } of rows) {
      if (store.sidecars.get(id)?.renewals === renewals) store.sidecars.delete(id);
    }
  };
}

/** Puts a row where nobody registered one. */
export function insertStranger(row: SidecarRow): Effect<void> {
  return (store) => void store.sidecars.set(row.id, row);
}

/** Deletes events, the newest `kept` excepted. */
export function prune(kept: number): Effect<void> {
  return (store) => {
    store.events = store.events.slice(Math.max(0, store.events.length - kept));
  };
}

/** Empties the table of keys. */
export function truncateKeys(token: string): Effect<void> {
  return (store) => {
    store.keys.clear();
    store.head = { sequence: store.head.sequence + 1n, token };
    store.events = [...store.events, eventOf('everything-changed', null, store.head)];
  };
}

/** The head is deleted by hand, and made again by whoever misses it. */
export function loseHead(token: string): Effect<void> {
  return (store) => remakeHead(store, token);
}

/** As `latchkey.restore_head()`: beyond a gap, for nobody knows what happened meanwhile. */
function remakeHead(store: Store, token: string): void {
  let sequence = store.head.sequence;
  for (const row of store.sidecars.values()) if (row.appliedSequence > sequence) sequence = row.appliedSequence;
  store.head = { sequence: sequence + 2n, token };
  store.events = [...store.events, eventOf('everything-changed', null, store.head)];
}

function hasPosition(store: Store, position: Position): boolean {
  return tokenAt(store, position.sequence) === position.token;
}

/** The head counts even when its event was pruned. */
function tokenAt({ head, events }: Store, sequence: bigint): string | null {
  if (head.sequence === sequence) return head.token;
  return events.find((event) => event.sequence === sequence)?.token ?? null;
}

function eventOf(kind: HistoryEventKind, key: string | null, position: Position): HistoryEvent {
  return {
    sequence: position.sequence,
    token: position.token,
    kind,
    keyHash: key as KeyHash | null,
    keyId: key,
    workflowId: null,
    accountId: null,
    appId: null,
    atMs: 0,
  };
}

function copyOf(store: Store): Store {
  return {
    keys: new Map(store.keys),
    events: store.events,
    head: store.head,
    sidecars: new Map(store.sidecars),
  };
}
