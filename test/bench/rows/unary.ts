import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { h2load, type Load } from '../h2load.js';
import type { Finding, Row } from '../row.js';
import { median } from '../statistics.js';

const CHILD = fileURLToPath(new URL('../grpc-server-child.ts', import.meta.url));
const ROUNDS = 7;
const CALLS = 20_000;
const BATCHES = 1_000;

/** What the server under load says of itself. */
interface Offer {
  readonly address: string;
  readonly request: string;
  readonly batch: string;
  readonly batchSize: number;
}

/**
 * Calls of the program's gRPC server from another core, in turns with calls that the same server answers with a
 * constant, so that both see the same machine.
 */
export const unaryRow: Row = {
  name: 'unary',
  title: 'gRPC calls decided from memory, one at a time and in batches',
  async run({ say }): Promise<readonly Finding[]> {
    const child = spawn('taskset', ['-c', '1', process.execPath, '--import', 'tsx', CHILD], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      return await loadWith(await offerOf(child), say);
    } finally {
      child.kill('SIGKILL');
    }
  },
};

async function offerOf(child: ChildProcess): Promise<Offer> {
  if (child.stdout === null) throw new Error('the server has no standard output');
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return JSON.parse(line) as Offer;
}

async function loadWith(offer: Offer, say: (line: string) => void): Promise<readonly Finding[]> {
  const request = Buffer.from(offer.request, 'base64');
  const batch = Buffer.from(offer.batch, 'base64');
  const at = (path: string): string => `http://${offer.address}/${path}`;
  const full = { requests: CALLS, connections: 4, concurrency: 32 };
  const constant = { ...full, url: at('latchkey.bench.Constant/Answer'), message: request };
  const authorize = { ...full, url: at('latchkey.v1.AuthorizationService/Authorize'), message: request };
  const batches = {
    ...full,
    requests: BATCHES,
    url: at('latchkey.v1.AuthorizationService/AuthorizeBatch'),
    message: batch,
  };

  say('warming up');
  for (const plan of [constant, authorize, batches]) await h2load(plan);
  say(`${ROUNDS} rounds at full load`);
  const rounds: { readonly constant: Load; readonly authorize: Load; readonly batch: Load }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    rounds.push({ constant: await h2load(constant), authorize: await h2load(authorize), batch: await h2load(batches) });
  }
  const ceiling = median(rounds.map((round) => round.constant.perSecond));
  const unary = median(rounds.map((round) => round.authorize.perSecond));
  const perSecond = median(rounds.map((round) => round.batch.perSecond)) * offer.batchSize;

  say(`${ROUNDS} rounds at half load`);
  const half = { requests: CALLS / 2, connections: 4, concurrency: 32, perSecond: ceiling / 2 };
  const calm: { readonly constant: Load; readonly authorize: Load }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    calm.push({ constant: await h2load({ ...constant, ...half }), authorize: await h2load({ ...authorize, ...half }) });
  }
  const slowConstant = median(calm.map((round) => round.constant.latency.p99));
  const slowAuthorize = median(calm.map((round) => round.authorize.latency.p99));
  return [
    {
      what: 'Authorize, calls a second',
      measured: { value: unary, unit: '/s' },
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
      what: 'Authorize, p99 at half load',
      measured: { value: slowAuthorize, unit: 'ms' },
      ceiling: { value: slowConstant, unit: 'ms', what: 'the same server answering a constant' },
      score: median(calm.map((round) => round.authorize.latency.p99 / round.constant.latency.p99)),
      bound: { atMost: 1.15 },
    },
    {
      what: `AuthorizeBatch of ${offer.batchSize}, decisions a second`,
      measured: { value: perSecond, unit: '/s' },
      ceiling: { value: unary, unit: '/s', what: 'Authorize' },
      score: median(rounds.map((round) => (round.batch.perSecond * offer.batchSize) / round.authorize.perSecond)),
      bound: { atLeast: 12 },
    },
  ];
}
