/** What a client was told: the names that decisions have for a bare key. */
export type Answer = 'granted' | 'revoked' | 'unknown';

/** One question that was answered, as its client saw it. Times are true time, ms. */
export interface Question {
  readonly key: string;
  readonly sidecar: string;
  readonly askedAtMs: number;
  readonly answeredAtMs: number;
  readonly answer: Answer;
}

/** One answer that came from memory, as only the simulation can see it. Times are true time, ms. */
export interface MemoryUse {
  readonly sidecar: string;
  readonly key: string;
  readonly atMs: number;
  /** When the attempt that gave the lease began; `null` when nothing ever gave one. */
  readonly leaseFromMs: number | null;
  /** Nominal length of that lease. */
  readonly leaseMs: number;
}

/** Everything that a checker may look at. */
export class Record {
  readonly questions: Question[] = [];
  readonly memoryUses: MemoryUse[] = [];
  /** Key → when its revocation was confirmed to a caller who waited for the barrier. */
  readonly revoked = new Map<string, number>();
  /** Key → when COMMIT of a revocation or deletion by plain SQL, which knows no barrier, was confirmed. */
  readonly revokedDirectly = new Map<string, number>();
  /** Key → when its creation was confirmed, and whether every sidecar was proven to know. */
  readonly created = new Map<string, { readonly atMs: number; readonly settled: boolean }>();
  /** Key → when its deletion by plain SQL was begun: from then on `unknown` may be the truth. */
  readonly deleted = new Map<string, number>();
  /** Keys → when they were first asked about. */
  readonly firstAsked = new Map<string, number>();
  /** Questions that ended without a decision. */
  undecided = 0;
  /** Answers from memory after the lease, while the database was out of reach. */
  unleased = 0;

  ask(key: string, atMs: number): void {
    if (!this.firstAsked.has(key)) this.firstAsked.set(key, atMs);
  }

  /** A backup was restored: what was confirmed of these keys is no longer so. */
  forgetConfirmations(keys: Iterable<string>): void {
    for (const key of keys) {
      this.revoked.delete(key);
      this.revokedDirectly.delete(key);
      this.created.delete(key);
    }
  }
}
