import { AuthorizeResponse } from '../../../src/gen/latchkey/v1/authorization_service.js';
import { Reason } from '../../../src/gen/latchkey/v1/decision.js';
import { Asker } from '../asker.js';
import { unknownKey } from '../bench-keys.js';
import { growth } from '../bench-program.js';
import { h2load, requireH2load } from '../h2load.js';
import { RawGrpcClient } from '../raw-grpc-client.js';
import type { BenchContext, Finding, Row } from '../row.js';
import { AUTHORIZE, LOAD_CORE, questionOf, questionWith, type Served, withServed } from '../served.js';
import { median } from '../statistics.js';

const HITS_PER_SECOND = 2_000;
/** Calls that the flood keeps open, over four connections. */
const FLOOD_IN_FLIGHT = 64;
/** So many that the server has no time left, whatever they ask. */
const DELUGE_IN_FLIGHT = 1_000;
const CACHE = 20_000;

interface Round {
  readonly p50: number;
  readonly p99: number;
  /** Calls of the flood a second. */
  readonly flood: number;
  readonly statementsPerCall: number;
  readonly residentMb: number;
}

/** Well-formed keys that do not exist, each asked once, beside steady hits. */
export const floodRow: Row = {
  name: 'flood',
  title: 'flood of unknown keys beside steady hits',
  method:
    'h2load asks one cached key 2 000 times a second; beside it another client keeps 64 calls open, each with a key never seen before, as fast as they are answered. Rounds alternate: hits alone, hits beside the flood, hits beside as many calls with a cached key (what any client can do), and the latter two with 1 000 calls open, which is more than a core can answer. The caches hold 20 000 entries, so that the flood overflows them many times.',
  async run(context: BenchContext): Promise<readonly Finding[]> {
    requireH2load();
    const env = { LATCHKEY_CACHE_MAX_KEYS: String(CACHE) };
    return await withServed(context, { env }, async (served) => {
      const flooders = await Promise.all(Array.from({ length: 4 }, () => RawGrpcClient.connect(served.program.grpc)));
      try {
        return await rounds(context, served, flooders);
      } finally {
        for (const flooder of flooders) flooder.close();
      }
    });
  },
};

async function rounds(context: BenchContext, served: Served, flooders: readonly RawGrpcClient[]): Promise<Finding[]> {
  const { program, urlOf } = served;
  const seconds = context.quick ? 2 : 4;
  const hits = () =>
    h2load({
      url: urlOf(AUTHORIZE),
      messages: [questionOf(0)],
      requests: HITS_PER_SECOND * seconds,
      connections: 4,
      concurrency: 32,
      perSecond: HITS_PER_SECOND,
      core: LOAD_CORE,
    });
  let unknown = 0;
  const known = questionOf(1);
  const askUnknown = () => questionWith(unknownKey(unknown++));
  const beside = async (inFlight: number, message: (index: number) => Buffer, expected: Reason): Promise<Round> => {
    const before = await program.metrics();
    const asker = new Asker({
      clients: flooders,
      path: `/${AUTHORIZE}`,
      message,
      inFlight,
      onAnswer: (answer) => {
        if (answer !== null && AuthorizeResponse.decode(answer).reason !== expected) throw new Error('a wrong answer');
      },
    });
    const { latency } = await hits();
    const flood = await asker.stop();
    const after = await program.metrics();
    return {
      p50: latency.p50,
      p99: latency.p99,
      flood,
      statementsPerCall: growth(before, after, 'latchkey_load_keys_count{source="keys"}') / asker.answered,
      residentMb: program.residentMb,
    };
  };
  await hits();
  const residentBefore = program.residentMb;
  const alone: number[] = [];
  const flooded: Round[] = [];
  const crowded: Round[] = [];
  const deluged: Round[] = [];
  const swamped: Round[] = [];
  const count = context.quick ? 2 : 5;
  for (let round = 0; round < count; round++) {
    context.say(`round ${round + 1} of ${count}`);
    alone.push((await hits()).latency.p99);
    flooded.push(await beside(FLOOD_IN_FLIGHT, askUnknown, Reason.KEY_UNKNOWN));
    crowded.push(await beside(FLOOD_IN_FLIGHT, () => known, Reason.GRANTED));
    deluged.push(await beside(DELUGE_IN_FLIGHT, askUnknown, Reason.KEY_UNKNOWN));
    swamped.push(await beside(DELUGE_IN_FLIGHT, () => known, Reason.GRANTED));
  }
  const after = await program.metrics();
  const of = (list: readonly Round[], pick: keyof Round): number => median(list.map((round) => round[pick]));
  return [
    {
      what: 'p99 of hits',
      measured: { value: of(flooded, 'p99'), unit: 'ms' },
      ceiling: { value: median(alone), unit: 'ms', what: 'hits alone' },
      score: median(flooded.map((round, index) => round.p99 / (alone[index] as number))),
      bound: { atMost: 1.5 },
      detail: { floodPerSecond: of(flooded, 'flood'), p50Ms: of(flooded, 'p50'), unknownKeysAsked: unknown },
    },
    {
      what: 'p99 of hits beside a flood, against beside as many calls with a known key',
      measured: { value: of(flooded, 'p99'), unit: 'ms' },
      ceiling: { value: of(crowded, 'p99'), unit: 'ms', what: 'beside calls with a known key' },
      score: median(flooded.map((round, index) => round.p99 / (crowded[index]?.p99 ?? Number.NaN))),
      detail: { knownCallsPerSecond: of(crowded, 'flood') },
    },
    {
      what: 'the same with 1 000 calls open',
      measured: { value: of(deluged, 'p99'), unit: 'ms' },
      ceiling: { value: of(swamped, 'p99'), unit: 'ms', what: 'beside calls with a known key' },
      score: median(deluged.map((round, index) => round.p99 / (swamped[index]?.p99 ?? Number.NaN))),
      detail: {
        floodPerSecond: of(deluged, 'flood'),
        knownCallsPerSecond: of(swamped, 'flood'),
        statementsAnUnknownKey: of(deluged, 'statementsPerCall'),
      },
    },
    {
      what: 'statements an unknown key',
      measured: { value: of(flooded, 'statementsPerCall'), unit: '' },
      score: of(flooded, 'statementsPerCall'),
      bound: { atMost: 1 / 50 },
    },
    {
      what: 'resident memory after the flood',
      measured: { value: of(deluged, 'residentMb'), unit: 'MB' },
      ceiling: { value: residentBefore, unit: 'MB', what: 'before it' },
      score: of(deluged, 'residentMb'),
      detail: {
        unknownKeysRemembered: after.get('latchkey_cache_size{cache="unknown_keys"}') ?? Number.NaN,
        shedHits: after.get('latchkey_undecided_total{surface="authorize",reason="overloaded"}') ?? 0,
      },
    },
  ];
}
