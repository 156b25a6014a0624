import type { HistoryEvent, Position } from '../../src/domain/history-event.js';
import type { KeyHash } from '../../src/domain/raw-key.js';
import type { BarrierReading, History, HistoryReading, Renewal, SidecarRow } from '../../src/ports/history.js';

/** The position of event `sequence` in the history that these fakes tell of. */
export function position(sequence: number, history = 'a'): Position {
  return { sequence: BigInt(sequence), token: `${history}${sequence}` };
}

/** Event `sequence`: a revocation of key `K<sequence>`. */
export function event(sequence: number, kind: HistoryEvent['kind'] = 'key-revoked', history = 'a'): HistoryEvent {
  return {
    ...position(sequence, history),
    kind,
    keyHash: `K${sequence}` as KeyHash,
    keyId: `id-${sequence}`,
    workflowId: null,
    accountId: null,
    appId: null,
    atMs: 1_000 * sequence,
  };
}

/** What a statement sees that asks after event `after` (`null`: asks for the head alone) when `head` is the newest. */
export function reading(after: number | null, head: number, changes: Partial<HistoryReading> = {}): HistoryReading {
  const events: HistoryEvent[] = [];
  if (after !== null) for (let sequence = after + 1; sequence <= head; sequence++) events.push(event(sequence));
  return {
    head: position(head),
    tokenAtPosition: after === null ? null : position(after).token,
    lineage: 'line-1',
    events,
    overLimit: false,
    databaseNowMs: 0,
    ...changes,
  };
}

/** One row of `sidecars`. */
export function row(id: string, appliedSequence: number, leaseMs = 1_000, renewals = 1): SidecarRow {
  return { id, renewals, leaseMs, appliedSequence: BigInt(appliedSequence) };
}

/** A call of a {@link ScriptedHistory} that the test answers. */
export interface ScriptedCall {
  readonly method: keyof History;
  readonly args: readonly unknown[];
  resolve(value?: unknown): void;
  reject(error?: unknown): void;
}

/** A history whose every answer the test gives by hand. */
export class ScriptedHistory implements History {
  readonly calls: ScriptedCall[] = [];

  /** The newest call of a method. */
  last(method: keyof History): ScriptedCall {
    const call = this.calls.findLast((candidate) => candidate.method === method);
    if (call === undefined) throw new Error(`${method} was not called`);
    return call;
  }

  count(method: keyof History): number {
    return this.calls.filter((call) => call.method === method).length;
  }

  register(renewal: Renewal): Promise<void> {
    return this.call('register', renewal);
  }
  renew(renewal: Renewal): Promise<boolean> {
    return this.call('renew', renewal);
  }
  readHistory(after: Position | null, limit: number): Promise<HistoryReading> {
    return this.call('readHistory', after, limit);
  }
  acknowledge(sidecarId: string, at: Position): Promise<boolean> {
    return this.call('acknowledge', sidecarId, at);
  }
  deregister(sidecarId: string): Promise<void> {
    return this.call('deregister', sidecarId);
  }
  readBarrier(): Promise<BarrierReading> {
    return this.call('readBarrier');
  }
  forget(rows: readonly Pick<SidecarRow, 'id' | 'renewals'>[]): Promise<void> {
    return this.call('forget', rows);
  }

  private call<T>(method: keyof History, ...args: unknown[]): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.calls.push({
        method,
        args,
        resolve: (value) => resolve(value as T),
        reject: (error = new Error('the database is out of reach')) => reject(error),
      });
    });
  }
}
