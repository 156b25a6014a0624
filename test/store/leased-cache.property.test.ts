import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BulkSource } from '../../src/ports/bulk-source.js';
import { ALL_PROTECTIONS, type Protections } from '../../src/ports/protections.js';
import { BatchedReads } from '../../src/store/batched-reads.js';
import { LeasedCache } from '../../src/store/leased-cache.js';
import { FakeClock } from '../support/fakes/fake-clock.js';
import { FakeLease } from '../support/fakes/fake-lease.js';
import { FakeTimers } from '../support/fakes/fake-timers.js';
import { RecordingMetrics } from '../support/fakes/recording-metrics.js';
import { settle } from '../support/fakes/settle.js';

/** What can happen next; `at` picks a key or a statement. */
type Step = {
  readonly kind: 'find' | 'write' | 'execute' | 'answer' | 'apply' | 'lose' | 'start over' | 'grant';
  readonly at: number;
};

const KEYS = ['a', 'b'];

/** A statement travels to the database, is executed there at one instant, and its answer travels back. */
interface Statement {
  readonly keys: readonly string[];
  snapshot: readonly (number | null)[] | null;
  readonly resolve: (values: readonly (number | null)[]) => void;
}

/**
 * A database of version numbers, one sidecar's cache, and writers that confirm as the barrier lets them: when the event
 * has been applied here, or no lease is held. Each find notes the version that was confirmed when it began.
 */
class Model {
  private readonly versions = new Map<string, number>();
  private readonly confirmed = new Map<string, number>();
  private readonly events: { readonly key: string; readonly version: number }[] = [];
  private readonly statements: Statement[] = [];
  private readonly lease = new FakeLease().grant();
  private readonly cache: LeasedCache<number>;
  private readonly finds: Promise<void>[] = [];
  /** Whether the next lease begins at the head, without the events before it. */
  private atHead = false;
  readonly violations: string[] = [];

  constructor(protections: Partial<Protections>) {
    const source: BulkSource<string, number> = {
      readMany: (keys) => new Promise((resolve) => this.statements.push({ keys, snapshot: null, resolve })),
    };
    const metrics = new RecordingMetrics();
    this.cache = new LeasedCache<number>(
      {
        reads: new BatchedReads({ source, name: 'keys', metrics, timers: new FakeTimers(new FakeClock()) }),
        lease: this.lease,
        metrics,
        source: 'keys',
        presentName: 'keys',
        absentName: 'unknown_keys',
        maxPresent: 10,
        maxAbsent: 10,
      },
      { ...ALL_PROTECTIONS, ...protections },
    );
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      this.take(step);
      await settle();
    }
    // The lease is left as it is; every read is answered, those that are begun meanwhile too.
    while (this.statements.length > 0) {
      this.take({ kind: 'answer', at: 0 });
      await settle();
    }
    await Promise.all(this.finds);
  }

  private take({ kind, at }: Step): void {
    const key = KEYS[at % KEYS.length] as string;
    switch (kind) {
      case 'find':
        this.find(key);
        return;
      case 'write': {
        const version = (this.versions.get(key) ?? 0) + 1;
        this.versions.set(key, version);
        this.events.push({ key, version });
        if (this.lease.held() === 0) this.confirm(key, version);
        return;
      }
      case 'execute': {
        const statement = this.statements[at % Math.max(1, this.statements.length)];
        if (statement !== undefined) this.execute(statement);
        return;
      }
      case 'answer': {
        const index = at % Math.max(1, this.statements.length);
        const statement = this.statements[index];
        if (statement === undefined) return;
        this.execute(statement);
        this.statements.splice(index, 1);
        statement.resolve(statement.snapshot as readonly (number | null)[]);
        return;
      }
      case 'apply':
        this.applyNext();
        return;
      case 'lose':
        this.lease.lose();
        // Writers that were waiting have waited the lease out.
        for (const event of this.events) this.confirm(event.key, event.version);
        return;
      case 'start over':
        this.take({ kind: 'lose', at });
        this.cache.forgetAll();
        this.atHead = true;
        return;
      case 'grant':
        if (this.lease.held() !== 0) return;
        // An incarnation that has a position applies everything up to the head first; a new one begins at the head.
        if (this.atHead) this.events.length = 0;
        while (this.events.length > 0) this.applyNext();
        this.atHead = false;
        this.lease.grant();
    }
  }

  private execute(statement: Statement): void {
    statement.snapshot ??= statement.keys.map((key) => this.versions.get(key) ?? null);
  }

  private applyNext(): void {
    const event = this.events.shift();
    if (event === undefined) return;
    this.cache.forget(event.key);
    this.confirm(event.key, event.version);
  }

  private confirm(key: string, version: number): void {
    this.confirmed.set(key, Math.max(version, this.confirmed.get(key) ?? 0));
  }

  private find(key: string): void {
    const atLeast = this.confirmed.get(key) ?? 0;
    const check = (value: number | null): void => {
      if ((value ?? 0) < atLeast) this.violations.push(`${key}: answered ${value}, confirmed before it ${atLeast}`);
    };
    const answer = this.cache.find(key);
    if (answer instanceof Promise) this.finds.push(answer.then(check));
    else check(answer);
  }
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.oneof(
    { weight: 5, arbitrary: fc.constant('find' as const) },
    {
      weight: 2,
      arbitrary: fc.constantFrom('write' as const, 'apply' as const, 'execute' as const, 'answer' as const),
    },
    { weight: 1, arbitrary: fc.constantFrom('lose' as const, 'start over' as const, 'grant' as const) },
  ),
  at: fc.nat(3),
});

const never = (protections: Partial<Protections>) =>
  fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
    const model = new Model(protections);
    await model.run(steps);
    expect(model.violations).toEqual([]);
  });

describe('a leased cache, whatever happens in whatever order', () => {
  it('answers nothing older than what was confirmed when the request began', async () => {
    await fc.assert(never({}), { numRuns: 400 });
  });

  it.each(['leaseCheck', 'fillGuard', 'taint', 'joinRule'] as const)(
    'would answer something older without %s, and this test would notice',
    async (protection) => {
      const result = await fc.check(never({ [protection]: false }), { numRuns: 5000, seed: 1, endOnFailure: true });
      expect(result.failed).toBe(true);
    },
  );
});
