import { Asker } from '../asker.js';
import { growth } from '../bench-program.js';
import { encodeBatchRequest } from '../encode-request.js';
import { h2load, requireH2load } from '../h2load.js';
import { inTurns } from '../in-turns.js';
import { RawGrpcClient } from '../raw-grpc-client.js';
import type { BenchContext, Finding, Row } from '../row.js';
import { AUTHORIZE, AUTHORIZE_BATCH, expectGranted, questionOf, type Served, withServed } from '../served.js';
import { median } from '../statistics.js';

const KEYS = 100_000;
const CALLS_PER_SECOND = 20_000;
const BATCH = 100;
const HITS_PER_SECOND = 1_000;
const NEVER_MS = 3_600_000;

/** What writing "last used" costs. */
export const usageRow: Row = {
  name: 'usage',
  title: '“last used” at 20 000 calls a second over 100 000 keys',
  method:
    'Batches of 100 keys, 200 a second, go round all 100 000 keys in five seconds, the interval of writing; single hits beside them are timed by h2load. Pieces alternate with another sidecar that never writes.',
  async run(context: BenchContext): Promise<readonly Finding[]> {
    requireH2load();
    const batches = Array.from({ length: KEYS / BATCH }, (_, batch) =>
      encodeBatchRequest(Array.from({ length: BATCH }, (_, index) => questionOf(batch * BATCH + index))),
    );
    const env = { LATCHKEY_CACHE_MAX_KEYS: String(2 * KEYS) };
    return await withServed(context, { keys: KEYS, env }, (writing) =>
      withServed(context, { keys: KEYS, env: { ...env, LATCHKEY_USAGE_FLUSH_MS: String(NEVER_MS) } }, (silent) =>
        measure(context, writing, silent, batches),
      ),
    );
  },
};

async function measure(
  { quick, say }: BenchContext,
  writing: Served,
  silent: Served,
  batches: readonly Buffer[],
): Promise<readonly Finding[]> {
  say('filling both caches');
  for (const { client } of [writing, silent]) {
    for (const batch of batches) expectGranted(await client.call(`/${AUTHORIZE_BATCH}`, batch), BATCH);
  }
  const seconds = quick ? 10 : 15;
  const piece = async ({ program, urlOf }: Served) => {
    const client = await RawGrpcClient.connect(program.grpc);
    const asker = new Asker({
      clients: [client],
      path: `/${AUTHORIZE_BATCH}`,
      message: (index) => batches[index % batches.length] as Buffer,
      inFlight: 8,
      perSecond: CALLS_PER_SECOND / BATCH,
    });
    const hits = await h2load({
      url: urlOf(AUTHORIZE),
      messages: [questionOf(0)],
      requests: HITS_PER_SECOND * seconds,
      connections: 2,
      concurrency: 32,
      perSecond: HITS_PER_SECOND,
    });
    const perSecond = (await asker.stop()) * BATCH;
    client.close();
    return { hits, perSecond };
  };
  const size = async (): Promise<number> => {
    const rows = await writing.database.query<{ bytes: string }>(
      `SELECT pg_total_relation_size('latchkey.key_usage') AS bytes`,
    );
    return Number(rows[0]?.bytes) / 1e6;
  };
  await inTurns(1, { writing: () => piece(writing), silent: () => piece(silent) });
  const before = await writing.program.metrics();
  const beforeMb = await size();
  const count = quick ? 1 : 4;
  say(`${count} pieces of ${seconds} s each`);
  const rounds = await inTurns(count, { writing: () => piece(writing), silent: () => piece(silent) });
  const after = await writing.program.metrics();
  const afterMb = await size();
  const statements = growth(before, after, 'latchkey_last_used_flush_duration_seconds_count{outcome="ok"}');
  const rows = growth(before, after, 'latchkey_last_used_rows_written_total');
  const spent = growth(before, after, 'latchkey_last_used_flush_duration_seconds_sum{outcome="ok"}');
  // Statements of the pieces of the other sidecar write what was left over; they count too.
  const perSecond = statements / (count * seconds);
  const [table] = await writing.database.query<{ hot: string; updated: string; dead: string }>(
    `SELECT n_tup_hot_upd AS hot, n_tup_upd AS updated, n_dead_tup AS dead FROM pg_stat_user_tables WHERE relname = 'key_usage'`,
  );
  const p99 = (side: 'writing' | 'silent') => median(rounds.map((round) => round[side].hits.latency.p99));
  return [
    {
      what: 'statements a second',
      measured: { value: perSecond, unit: '/s' },
      score: perSecond,
      detail: {
        callsPerSecond: median(rounds.map((round) => round.writing.perSecond)),
        rowsPerStatement: rows / statements,
        statementMs: (spent / statements) * 1000,
        dropped: after.get('latchkey_last_used_dropped_total') ?? 0,
      },
    },
    {
      what: `table of last uses after ${count * seconds} s`,
      measured: { value: afterMb, unit: 'MB' },
      ceiling: { value: beforeMb, unit: 'MB', what: 'after the first pieces' },
      score: afterMb / beforeMb,
      detail: {
        hotUpdatesShare: Number(table?.hot) / Math.max(1, Number(table?.updated)),
        deadRows: Number(table?.dead),
      },
    },
    {
      what: 'p99 of hits',
      measured: { value: p99('writing'), unit: 'ms' },
      ceiling: { value: p99('silent'), unit: 'ms', what: 'without writing' },
      score: median(rounds.map((round) => round.writing.hits.latency.p99 / round.silent.hits.latency.p99)),
      detail: {
        p50Ms: median(rounds.map((round) => round.writing.hits.latency.p50)),
        p50MsWithoutWriting: median(rounds.map((round) => round.silent.hits.latency.p50)),
      },
    },
  ];
}
