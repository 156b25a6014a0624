import { h2load, type LoadPlan, requireH2load } from '../h2load.js';
import { inTurns } from '../in-turns.js';
import type { BenchContext, Finding, Row } from '../row.js';
import { AUTHORIZE, CONSTANT, questionOf, withServed } from '../served.js';
import { median } from '../statistics.js';

const CALLS = 20_000;

/** `Authorize` of the built program, in turns with a constant that the same server answers. */
export const unaryRow: Row = {
  name: 'unary',
  title: 'unary Authorize, cached',
  method:
    'h2load on core 0, the built program on core 1, 4 connections with 32 calls each. Rounds of 20 000 calls alternate with as many that the same process answers with a constant through codecs that do nothing; the score is the median of the rounds’ ratios. Half load: both at half of the constant’s rate.',
  async run(context: BenchContext): Promise<readonly Finding[]> {
    requireH2load();
    return await withServed(context, {}, async ({ urlOf }) => {
      const { quick, say } = context;
      const full = { messages: [questionOf(0)], requests: CALLS, connections: 4, concurrency: 32 };
      const constant: LoadPlan = { ...full, url: urlOf(CONSTANT) };
      const authorize: LoadPlan = { ...full, url: urlOf(AUTHORIZE) };
      say('warming up');
      await inTurns(2, { constant: () => h2load(constant), authorize: () => h2load(authorize) });
      const count = quick ? 3 : 9;
      say(`${count} rounds at full load`);
      const rounds = await inTurns(count, { constant: () => h2load(constant), authorize: () => h2load(authorize) });
      const ceiling = median(rounds.map((round) => round.constant.perSecond));
      say(`${count} rounds at half load`);
      const half = { requests: CALLS / 2, perSecond: ceiling / 2 };
      const calm = await inTurns(count, {
        constant: () => h2load({ ...constant, ...half }),
        authorize: () => h2load({ ...authorize, ...half }),
      });
      return [
        {
          what: 'calls a second',
          measured: { value: median(rounds.map((round) => round.authorize.perSecond)), unit: '/s' },
          ceiling: { value: ceiling, unit: '/s', what: 'the same server answering a constant' },
          score: median(rounds.map((round) => round.authorize.perSecond / round.constant.perSecond)),
          bound: { atLeast: 0.9 },
          detail: {
            p50Ms: median(rounds.map((round) => round.authorize.latency.p50)),
            p95Ms: median(rounds.map((round) => round.authorize.latency.p95)),
            p99Ms: median(rounds.map((round) => round.authorize.latency.p99)),
          },
        },
        {
          what: 'p99 at half load',
          measured: { value: median(calm.map((round) => round.authorize.latency.p99)), unit: 'ms' },
          ceiling: {
            value: median(calm.map((round) => round.constant.latency.p99)),
            unit: 'ms',
            what: 'the same server answering a constant',
          },
          score: median(calm.map((round) => round.authorize.latency.p99 / round.constant.latency.p99)),
          bound: { atMost: 1.15 },
          detail: {
            p50Ms: median(calm.map((round) => round.authorize.latency.p50)),
            p95Ms: median(calm.map((round) => round.authorize.latency.p95)),
          },
        },
      ];
    });
  },
};
