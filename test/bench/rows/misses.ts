import pg from 'pg';
import type { KeyHash } from '../../../src/domain/raw-key.js';
import { systemClock } from '../../../src/observability/system-clock.js';
import { benchKeyHash } from '../bench-keys.js';
import { inTurns } from '../in-turns.js';
import { createMissStack } from '../miss-stack.js';
import type { BenchContext, Finding, Row } from '../row.js';
import { median, percentile } from '../statistics.js';

const KEYS = 100_000;
/** Calls in flight, and look-ups of one round. */
const LEVELS = [
  [1, 500],
  [16, 4_000],
  [256, 16_000],
  [4096, 32_000],
] as const;

interface Round {
  readonly perSecond: number;
  readonly statements: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** Look-ups of keys that exist and are not in memory. */
export const missesRow: Row = {
  name: 'misses',
  title: 'misses of distinct existing keys',
  method:
    'The program’s stores in one process over a pool of 10 connections, 100 000 keys stored, an empty cache for each round. Rounds alternate with one prepared SELECT a key on a pool as large, with as many in flight. Client and PostgreSQL share both cores.',
  async run(context: BenchContext): Promise<readonly Finding[]> {
    const database = await context.databases.create(KEYS);
    const hashes = Array.from({ length: KEYS }, (_, index) => benchKeyHash(index));
    const bytes = hashes.map((hash) => Buffer.from(hash, 'latin1'));
    const stack = await createMissStack(database.url);
    // As large, but patient: with thousands waiting, some wait longer than the program would let them.
    const pool = new pg.Pool({ connectionString: database.url, max: stack.pool.options.max });
    // Its last connections may still be closing when the server ends.
    pool.on('error', () => {});
    let from = 0;
    const batched = async (inFlight: number, count: number): Promise<Round> => {
      const store = stack.emptyStore(KEYS);
      const before = stack.statements();
      const round = await lookUp(inFlight, count, (index) => store.find(hashes[(from + index) % KEYS] as KeyHash));
      from += count;
      return { ...round, statements: stack.statements() - before };
    };
    const single = async (inFlight: number, count: number): Promise<Round> => {
      const round = await lookUp(inFlight, count, async (index) => {
        const { rows } = await pool.query({
          name: 'bench_one_key',
          text: `SELECT k.key_hash, k.id, k.account_id, k.workflow_id, k.permissions::text, k.app_id,
                        (extract(epoch FROM k.expires_at) * 1000)::float8 AS expires_at_ms, k.revoked_at IS NOT NULL AS revoked
                   FROM latchkey.api_keys AS k WHERE k.key_hash = $1`,
          values: [bytes[(from + index) % KEYS]],
        });
        return rows[0] ?? null;
      });
      from += count;
      return { ...round, statements: count };
    };

    const findings: Finding[] = [];
    const curve: { readonly inFlight: number; readonly own: Round; readonly plain: Round }[] = [];
    try {
      for (const [inFlight, count] of LEVELS) {
        context.say(`${inFlight} in flight`);
        await inTurns(1, { own: () => batched(inFlight, count / 2), plain: () => single(inFlight, count / 2) });
        const rounds = await inTurns(context.quick ? 3 : 7, {
          own: () => batched(inFlight, count),
          plain: () => single(inFlight, count),
        });
        const of = (side: 'own' | 'plain'): Round => ({
          perSecond: median(rounds.map((round) => round[side].perSecond)),
          statements: median(rounds.map((round) => round[side].statements)),
          p50: median(rounds.map((round) => round[side].p50)),
          p95: median(rounds.map((round) => round[side].p95)),
          p99: median(rounds.map((round) => round[side].p99)),
        });
        const own = of('own');
        const plain = of('plain');
        curve.push({ inFlight, own, plain });
        findings.push({
          what: `misses a second, ${inFlight} in flight`,
          measured: { value: own.perSecond, unit: '/s' },
          ceiling: { value: plain.perSecond, unit: '/s', what: 'one SELECT a key, pool as large' },
          score: median(rounds.map((round) => round.own.perSecond / round.plain.perSecond)),
          ...(inFlight === 256 ? { bound: { atLeast: 4 } } : {}),
          detail: {
            statementsPerMiss: own.statements / count,
            p50Ms: own.p50,
            p95Ms: own.p95,
            p99Ms: own.p99,
            selectP50Ms: plain.p50,
            selectP95Ms: plain.p95,
            selectP99Ms: plain.p99,
          },
        });
      }
    } finally {
      await pool.end();
      await stack.pool.end();
    }
    const line = (label: string, pick: (point: (typeof curve)[number]) => number) => ({
      label,
      points: curve.map((point) => [point.inFlight, pick(point)] as const),
    });
    context.draw({
      name: 'misses',
      title: 'What a miss costs',
      xLabel: 'misses in flight',
      yLabel: 'ms',
      logarithmic: true,
      lines: [
        line('p50', ({ own }) => own.p50),
        line('p95', ({ own }) => own.p95),
        line('p99', ({ own }) => own.p99),
        line('one SELECT a key, p50', ({ plain }) => plain.p50),
        line('one SELECT a key, p99', ({ plain }) => plain.p99),
      ],
    });
    return findings;
  },
};

/** Looks `count` keys up with so many in flight; fails if one is not found. */
async function lookUp(
  inFlight: number,
  count: number,
  find: (index: number) => unknown,
): Promise<Omit<Round, 'statements'>> {
  const latencies: number[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      const sentMs = systemClock.monotonicMs();
      if ((await find(index)) === null) throw new Error('a stored key was not found');
      latencies.push(systemClock.monotonicMs() - sentMs);
    }
  };
  const startedMs = systemClock.monotonicMs();
  await Promise.all(Array.from({ length: inFlight }, worker));
  const seconds = (systemClock.monotonicMs() - startedMs) / 1000;
  return {
    perSecond: count / seconds,
    p50: percentile(latencies, 0.5),
    p95: percentile(latencies, 0.95),
    p99: percentile(latencies, 0.99),
  };
}
