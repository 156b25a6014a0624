import { h2load, requireH2load } from '../h2load.js';
import { inTurns } from '../in-turns.js';
import type { BenchContext, Finding, Row } from '../row.js';
import { AUTHORIZE, questionOf, type Served, withServed } from '../served.js';
import { median } from '../statistics.js';

/** Unary calls with one and two workers. */
export const workersRow: Row = {
  name: 'workers',
  title: 'unary Authorize with LATCHKEY_WORKERS',
  method:
    'h2load with 16 connections of 16 calls each; server, load and database share all cores, so that what the load takes is missing at the server. With one worker the server has one busy process, with two two.',
  async run(context: BenchContext): Promise<readonly Finding[]> {
    requireH2load();
    const load = ({ urlOf }: Served) =>
      h2load({
        url: urlOf(AUTHORIZE),
        messages: [questionOf(0)],
        requests: 20_000,
        connections: 16,
        concurrency: 16,
        core: null,
      });
    const withWorkers = <T>(workers: number, use: (served: Served) => Promise<T>): Promise<T> =>
      withServed(context, { cores: '0,1', env: { LATCHKEY_WORKERS: String(workers) } }, use);
    return await withWorkers(1, (one) =>
      withWorkers(2, async (two) => {
        await inTurns(2, { one: () => load(one), two: () => load(two) });
        const rounds = await inTurns(context.quick ? 3 : 7, { one: () => load(one), two: () => load(two) });
        const single = median(rounds.map((round) => round.one.perSecond));
        const double = median(rounds.map((round) => round.two.perSecond));
        context.draw({
          name: 'workers',
          title: 'Calls a second by workers, load on the same cores',
          xLabel: 'workers',
          yLabel: 'calls a second',
          lines: [
            {
              label: 'Authorize',
              points: [
                [1, single],
                [2, double],
              ],
            },
          ],
        });
        return [
          {
            what: 'calls a second, 2 workers',
            measured: { value: double, unit: '/s' },
            ceiling: { value: single, unit: '/s', what: '1 worker' },
            score: median(rounds.map((round) => round.two.perSecond / round.one.perSecond)),
            detail: {
              p99MsOneWorker: median(rounds.map((round) => round.one.latency.p99)),
              p99MsTwoWorkers: median(rounds.map((round) => round.two.latency.p99)),
            },
          },
        ];
      }),
    );
  },
};
