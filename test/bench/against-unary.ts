import { h2load, type LoadPlan, requireH2load } from './h2load.js';
import { inTurns } from './in-turns.js';
import type { BenchContext, Finding } from './row.js';
import { AUTHORIZE, questionOf, type Served, withServed } from './served.js';
import { median } from './statistics.js';

const UNARY_CALLS = 10_000;

/** A way of asking that is held against unary calls. */
export interface Rival {
  readonly what: string;
  /** Its target, as a multiple of unary decisions a second. */
  readonly atLeast: number;
  readonly decisionsPerCall: number;
  readonly plan: Pick<LoadPlan, 'messages' | 'requests' | 'concurrency'> & { readonly path: string };
  /** Fails unless it is answered as it should. */
  readonly verify: (served: Served) => Promise<void>;
}

/** Decisions a second of a way of asking, in turns with unary calls of the same server. */
export async function againstUnary(context: BenchContext, rival: Rival): Promise<readonly Finding[]> {
  requireH2load();
  return await withServed(context, {}, async (served) => {
    const { decisionsPerCall } = rival;
    const { path, ...plan } = rival.plan;
    await rival.verify(served);
    const unary = (): LoadPlan => ({
      url: served.urlOf(AUTHORIZE),
      messages: [questionOf(0)],
      requests: UNARY_CALLS,
      connections: 4,
      concurrency: 32,
    });
    const measurements = {
      unary: () => h2load(unary()),
      rival: () => h2load({ url: served.urlOf(path), connections: 4, ...plan }),
    };
    context.say('warming up');
    await inTurns(2, measurements);
    const rounds = await inTurns(context.quick ? 3 : 9, measurements);
    return [
      {
        what: rival.what,
        measured: { value: median(rounds.map((round) => round.rival.perSecond)) * decisionsPerCall, unit: '/s' },
        ceiling: { value: median(rounds.map((round) => round.unary.perSecond)), unit: '/s', what: 'unary Authorize' },
        score: median(rounds.map((round) => (round.rival.perSecond * decisionsPerCall) / round.unary.perSecond)),
        bound: { atLeast: rival.atLeast },
        detail: {
          callP50Ms: median(rounds.map((round) => round.rival.latency.p50)),
          callP95Ms: median(rounds.map((round) => round.rival.latency.p95)),
          callP99Ms: median(rounds.map((round) => round.rival.latency.p99)),
        },
      },
    ];
  });
}
