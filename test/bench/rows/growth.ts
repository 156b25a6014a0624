import { systemClock } from '../../../src/observability/system-clock.js';
import { silentLogger } from '../../../src/ports/logger.js';
import { migrate } from '../../../src/store/postgres/migrate.js';
import { PostgresKeyRegistry } from '../../../src/store/postgres/postgres-key-registry.js';
import type { BenchDatabase } from '../bench-databases.js';
import { benchAccount, benchKeyHash } from '../bench-keys.js';
import { BenchProgram } from '../bench-program.js';
import { createMissStack, type MissStack } from '../miss-stack.js';
import type { BenchContext, Finding, Row } from '../row.js';
import { median, percentiles } from '../statistics.js';

const SMALL = 10_000;
const LARGE = 1_000_000;
const HUGE = 10_000_000;
const LISTED_KEYS = 10_000;
/** Numbers of the keys of the account with very many, far from all others. */
const LISTED_FROM = 1_000_000_000_000;
const PAGE = 100;
const LOOK_UPS = 1_000;

/** One size and what was seen there. */
interface Size {
  readonly keys: number;
  readonly database: BenchDatabase;
  readonly stack: MissStack;
  readonly copyMs: number;
  readonly missP50: number[];
  readonly missP99: number[];
}

/** The same program on databases of different sizes. */
export const growthRow: Row = {
  name: 'growth',
  title: 'keys stored',
  method:
    'Databases with 10 thousand and 1 million keys (with --full 10 million too), filled by COPY. Rounds of 1 000 look-ups of random keys, one at a time through the program’s stores with nothing in memory, alternate between the sizes. The list is that of one account with 10 000 keys, all pages of 100 by their cursors.',
  async run(context: BenchContext): Promise<readonly Finding[]> {
    const sizes: Size[] = [];
    for (const keys of context.full ? [SMALL, LARGE, HUGE] : [SMALL, LARGE]) {
      context.say(`storing ${keys} keys`);
      const database = await context.databases.create();
      const startedMs = systemClock.monotonicMs();
      await database.addKeys(0, keys);
      const copyMs = systemClock.monotonicMs() - startedMs;
      await database.addKeys(LISTED_FROM, LISTED_FROM + LISTED_KEYS, LISTED_KEYS);
      await database.query('CHECKPOINT');
      sizes.push({ keys, database, copyMs, stack: await createMissStack(database.url), missP50: [], missP99: [] });
    }
    try {
      return await measure(context, sizes);
    } finally {
      for (const { stack } of sizes) await stack.pool.end();
    }
  },
};

async function measure({ quick, say, draw }: BenchContext, sizes: readonly Size[]): Promise<readonly Finding[]> {
  // The first round of each also brings pages into memory that a server in use has there.
  for (let round = -2; round < (quick ? 3 : 9); round++) {
    for (const size of sizes) {
      const { p50, p99 } = await look(size);
      if (round < 0) continue;
      size.missP50.push(p50);
      size.missP99.push(p99);
    }
  }
  const findings: Finding[] = [];
  const smallest = sizes[0] as Size;
  for (const size of sizes) {
    const { keys, database, copyMs } = size;
    const name = `${keys.toLocaleString('en')} keys`;
    say(`lists and starts with ${name}`);
    const list = await listAll(size);
    const migrateMs = await timed(() => migrate({ url: database.url, logger: silentLogger }));
    const starts: number[] = [];
    for (let i = 0; i < 3; i++) {
      const program = await BenchProgram.start({ databaseUrl: database.url });
      await program.stop();
      starts.push(program.readyAfterMs);
    }
    const bytes = await database.query<{ bytes: string }>(
      `SELECT pg_total_relation_size('latchkey.api_keys') AS bytes`,
    );
    const p50 = median(size.missP50);
    findings.push({
      what: `miss p50, ${name}`,
      measured: { value: p50, unit: 'ms' },
      ...(size === smallest
        ? {}
        : { ceiling: { value: median(smallest.missP50), unit: 'ms', what: `${SMALL.toLocaleString('en')} keys` } }),
      score: p50 / median(smallest.missP50),
      ...(size === smallest ? {} : { bound: { atMost: 1.3 } }),
      detail: {
        missP99Ms: median(size.missP99),
        firstPageMs: list.firstMs,
        pageP50Ms: list.p50,
        pageP99Ms: list.p99,
        startToReadyMs: median(starts),
        migrateMs,
        copySeconds: copyMs / 1000,
        tableMb: Number(bytes[0]?.bytes) / 1e6,
      },
    });
  }
  draw({
    name: 'growth',
    title: 'A miss and a page of the list by keys stored',
    xLabel: 'keys stored',
    yLabel: 'ms',
    logarithmic: true,
    lines: [
      { label: 'miss p50', points: sizes.map((size) => [size.keys, median(size.missP50)] as const) },
      { label: 'miss p99', points: sizes.map((size) => [size.keys, median(size.missP99)] as const) },
      {
        label: 'page of 100, p50',
        points: findings.map(({ detail }, index) => [sizes[index]?.keys ?? 0, Number(detail?.pageP50Ms)] as const),
      },
    ],
  });
  return findings;
}

async function look({ keys, stack }: Size): Promise<{ readonly p50: number; readonly p99: number }> {
  const store = stack.emptyStore(LOOK_UPS);
  const latencies: number[] = [];
  for (let i = 0; i < LOOK_UPS; i++) {
    const hash = benchKeyHash(Math.floor(Math.random() * keys));
    latencies.push(
      await timed(async () => {
        if ((await store.find(hash)) === null) throw new Error('a stored key was not found');
      }),
    );
  }
  return percentiles(latencies);
}

/** Every page of the account with very many keys. */
async function listAll({
  stack,
}: Size): Promise<{ readonly firstMs: number; readonly p50: number; readonly p99: number }> {
  const registry = new PostgresKeyRegistry(stack.runner);
  const accountId = benchAccount(LISTED_FROM / LISTED_KEYS);
  const times: number[] = [];
  for (let round = 0; round < 2; round++) {
    let seen = 0;
    let after: Parameters<typeof registry.list>[0]['after'] = null;
    do {
      const startedMs = systemClock.monotonicMs();
      const page = await registry.list({ accountId, limit: PAGE, after, includeRevoked: true });
      times.push(systemClock.monotonicMs() - startedMs);
      seen += page.keys.length;
      after = page.nextAfter;
    } while (after !== null);
    if (seen !== LISTED_KEYS) throw new Error(`the list has ${seen} keys`);
  }
  const { p50, p99 } = percentiles(times);
  return { firstMs: times[LISTED_KEYS / PAGE] ?? Number.NaN, p50, p99 };
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const startedMs = systemClock.monotonicMs();
  await run();
  return systemClock.monotonicMs() - startedMs;
}
