import { Counter, Histogram, Registry } from 'prom-client';

/** Buckets, in seconds: a prompt revocation takes milliseconds, one that waits out a lease seconds. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 10, 30];

/** Most durations kept for percentiles; past it the oldest are overwritten. */
const KEPT_MAX = 100_000;

/** How one round of the probe went. */
export type RoundOutcome = 'ok' | 'violated' | 'incomplete';

/** What is wrong with one answer of a target. */
export type Finding = 'wrongly_allowed' | 'wrongly_refused' | 'undecided';

/** The latest thing that was wrong with a target's answers. */
export interface Failure {
  readonly target: string;
  readonly finding: Finding;
  /** As in the answer, or why there was none. */
  readonly reason: string;
}

/** Percentiles of a duration, in ms. */
export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** What the probe has seen so far, as metrics and as figures. */
export class ProbeRecord {
  readonly registry = new Registry();
  private readonly confirmedMs = new Kept();
  private readonly refusedMs = new Kept();
  private readonly outcomes = { ok: 0, violated: 0, incomplete: 0 };
  private readonly findings = { wrongly_allowed: 0, wrongly_refused: 0, undecided: 0 };
  private readonly failures = new Map<string, Failure>();
  private readonly confirmed: Histogram;
  private readonly refused: Histogram<'target'>;
  private readonly rounds: Counter<'outcome'>;
  private readonly counters: Readonly<Record<Finding, Counter<'target'>>>;

  constructor(targets: readonly string[]) {
    const registers = [this.registry];
    this.confirmed = new Histogram({
      name: 'latchkey_probe_revoke_to_confirmed_seconds',
      help: 'Time from asking for a revocation to its confirmation.',
      buckets: BUCKETS,
      registers,
    });
    this.refused = new Histogram({
      name: 'latchkey_probe_revoke_to_refused_seconds',
      help: 'Time from asking for a revocation to the first refusal of the key after its confirmation, by target.',
      labelNames: ['target'] as const,
      buckets: BUCKETS,
      registers,
    });
    this.rounds = new Counter({
      name: 'latchkey_probe_rounds_total',
      help: 'Rounds by outcome. violated: a target accepted a key whose revocation was confirmed, or refused a good one; incomplete: something could not be asked or done.',
      labelNames: ['outcome'] as const,
      registers,
    });
    const counter = (name: string, help: string) =>
      new Counter({ name: `latchkey_probe_${name}_total`, help, labelNames: ['target'] as const, registers });
    this.counters = {
      wrongly_allowed: counter(
        'wrongly_allowed',
        'Keys accepted after their revocation was confirmed, by target. Anything above zero breaks the guarantee.',
      ),
      wrongly_refused: counter(
        'wrongly_refused',
        'Keys refused after their creation was confirmed, and not because they are revoked, by target. Anything above zero breaks the guarantee.',
      ),
      undecided: counter('undecided', 'Questions that a target gave no decision on, by target.'),
    };
    // Shown from the start, so that the first violation is an increase.
    for (const outcome of ['ok', 'violated', 'incomplete'] as const) this.rounds.inc({ outcome }, 0);
    for (const target of targets) for (const each of Object.values(this.counters)) each.inc({ target }, 0);
  }

  revocationConfirmed(ms: number): void {
    this.confirmed.observe(ms / 1000);
    this.confirmedMs.add(ms);
  }

  keyRefused(target: string, ms: number): void {
    this.refused.observe({ target }, ms / 1000);
    this.refusedMs.add(ms);
  }

  found(finding: Finding, target: string, reason: string): void {
    this.findings[finding]++;
    this.failures.set(target, { target, finding, reason });
    this.counters[finding].inc({ target });
  }

  roundEnded(outcome: RoundOutcome): void {
    this.outcomes[outcome]++;
    this.rounds.inc({ outcome });
  }

  get summary() {
    return {
      rounds: { ...this.outcomes },
      findings: { ...this.findings },
      failures: [...this.failures.values()],
      confirmedMs: this.confirmedMs.percentiles,
      refusedMs: this.refusedMs.percentiles,
    };
  }
}

/** The latest durations, up to a bound. */
class Kept {
  private readonly values: number[] = [];
  private count = 0;

  add(value: number): void {
    this.values[this.count++ % KEPT_MAX] = value;
  }

  /** `null` while there are none. */
  get percentiles(): Percentiles | null {
    if (this.count === 0) return null;
    const sorted = Float64Array.from(this.values).sort();
    // Nearest rank: always a duration that was really seen.
    const at = (share: number) => rounded(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0);
    return { count: this.count, p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1) };
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
