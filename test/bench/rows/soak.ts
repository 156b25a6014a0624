import { AuthorizeResponse } from '../../../src/gen/latchkey/v1/authorization_service.js';
import { Reason } from '../../../src/gen/latchkey/v1/decision.js';
import { systemClock } from '../../../src/observability/system-clock.js';
import { Asker } from '../asker.js';
import { benchKeyId } from '../bench-keys.js';
import { BenchProgram, growth } from '../bench-program.js';
import { h2load, requireH2load } from '../h2load.js';
import { pause } from '../pause.js';
import { RawGrpcClient } from '../raw-grpc-client.js';
import type { BenchContext, Finding, Row } from '../row.js';
import { AUTHORIZE, LOAD_CORE, questionOf, type Served, withServed } from '../served.js';
import { median, percentile } from '../statistics.js';
import { sessionOf } from './revoke.js';

const KEYS = 20_000;
const PIECE_SECONDS = 5;
const LOAD_SHARE = 0.7;
const CHECKED_PER_SECOND = 400;
const REVOCATIONS_PER_SECOND = 2;

/** One piece of the run. */
interface Piece {
  readonly atSeconds: number;
  readonly p50: number;
  readonly p99: number;
  readonly perSecond: number;
  readonly residentMb: number;
  readonly heapMb: number;
}

/** Long load with revocations going on. */
export const soakRow: Row = {
  name: 'soak',
  title: 'soak at 70 % load with revocations',
  onRequest: true,
  method:
    'The built program gets 70 % of the calls a second that it can answer, in pieces of five seconds by h2load. Beside them a client asks random keys 400 times a second and checks each answer: granted before its DELETE is sent, denied after its receipt. Two keys a second are deleted over REST on a second sidecar.',
  async run(context: BenchContext): Promise<readonly Finding[]> {
    requireH2load();
    return await withServed(context, { keys: KEYS }, async (served) => {
      const second = await BenchProgram.start({ databaseUrl: served.database.url });
      const checker = await RawGrpcClient.connect(served.program.grpc);
      try {
        return await soak(context, served, second, checker);
      } finally {
        checker.close();
        await second.stop();
      }
    });
  },
};

async function soak(
  { minutes, say, draw }: BenchContext,
  { program, database, urlOf }: Served,
  second: BenchProgram,
  checker: RawGrpcClient,
): Promise<readonly Finding[]> {
  const plan = { url: urlOf(AUTHORIZE), messages: [questionOf(0)], connections: 4, concurrency: 32, core: LOAD_CORE };
  const capacities: number[] = [];
  for (let i = 0; i < 4; i++) capacities.push((await h2load({ ...plan, requests: 30_000 })).perSecond);
  const capacity = median(capacities.slice(1));
  const target = Math.round(capacity * LOAD_SHARE);
  say(`${Math.round(capacity)} calls a second are possible, ${target} are asked for ${minutes} min`);

  const revocations = new Revocations(second, database.query);
  let wrong = 0;
  let checked = 0;
  const sent = new Map<number, { readonly key: number; readonly confirmedBefore: boolean }>();
  const asker = new Asker({
    clients: [checker],
    path: `/${AUTHORIZE}`,
    message: (index) => {
      // Key 0 is h2load's and is never deleted.
      const key = 1 + Math.floor(Math.random() * (KEYS - 1));
      sent.set(index, { key, confirmedBefore: revocations.isConfirmed(key) });
      return questionOf(key);
    },
    inFlight: 64,
    perSecond: CHECKED_PER_SECOND,
    onAnswer: (answer, index) => {
      const question = sent.get(index);
      sent.delete(index);
      if (answer === null || question === undefined) return;
      checked++;
      const { reason } = AuthorizeResponse.decode(answer);
      const mayBeGranted = !question.confirmedBefore;
      const mayBeRevoked = revocations.isBegun(question.key);
      if (reason === Reason.GRANTED ? !mayBeGranted : reason !== Reason.KEY_REVOKED || !mayBeRevoked) wrong++;
    },
  });
  const revoking = revocations.run();
  const before = await program.metrics();
  const startedMs = systemClock.monotonicMs();
  const pieces: Piece[] = [];
  while (systemClock.monotonicMs() - startedMs < minutes * 60_000) {
    const perSecond = target - CHECKED_PER_SECOND;
    const load = await h2load({ ...plan, requests: perSecond * PIECE_SECONDS, perSecond });
    const heap = (await program.metrics()).get('nodejs_heap_size_used_bytes') ?? Number.NaN;
    pieces.push({
      atSeconds: (systemClock.monotonicMs() - startedMs) / 1000,
      p50: load.latency.p50,
      p99: load.latency.p99,
      perSecond: load.perSecond,
      residentMb: program.residentMb,
      heapMb: heap / 1e6,
    });
    if (pieces.length % 12 === 0) {
      say(
        `${pieces.length * PIECE_SECONDS} s: p99 ${load.latency.p99.toFixed(1)} ms, ${program.residentMb.toFixed(0)} MB`,
      );
    }
  }
  await revocations.stop();
  await revoking;
  await asker.stop();
  const after = await program.metrics();
  const quarter = Math.max(1, Math.floor(pieces.length / 4));
  const of = (from: number, to: number | undefined, pick: (piece: Piece) => number) =>
    median(pieces.slice(from, to).map(pick));
  const second4 = of(quarter, 2 * quarter, ({ residentMb }) => residentMb);
  const last4 = of(-quarter, undefined, ({ residentMb }) => residentMb);
  const p99Early = of(0, quarter, ({ p99 }) => p99);
  const p99Late = of(-quarter, undefined, ({ p99 }) => p99);
  draw({
    name: 'soak-latency',
    title: `p50 and p99 at ${target} calls a second (70 % load) with revocations`,
    xLabel: 'seconds',
    yLabel: 'ms',
    lines: [
      { label: 'p99', points: pieces.map((piece) => [piece.atSeconds, piece.p99] as const) },
      { label: 'p50', points: pieces.map((piece) => [piece.atSeconds, piece.p50] as const) },
    ],
  });
  draw({
    name: 'soak-memory',
    title: 'Memory of the sidecar meanwhile',
    xLabel: 'seconds',
    yLabel: 'MB',
    lines: [
      { label: 'resident', points: pieces.map((piece) => [piece.atSeconds, piece.residentMb] as const) },
      { label: 'heap in use', points: pieces.map((piece) => [piece.atSeconds, piece.heapMb] as const) },
    ],
  });
  const decided = [...after.keys()]
    .filter((name) => name.startsWith('latchkey_decisions_total'))
    .reduce((sum, name) => sum + growth(before, after, name), 0);
  return [
    {
      what: `wrong answers of ${checked.toLocaleString('en')} that were checked`,
      measured: { value: wrong, unit: '' },
      score: wrong,
      bound: { atMost: 0 },
      detail: {
        minutes,
        decisions: decided,
        revocations: revocations.confirmed,
        unconfirmed: revocations.unconfirmed,
        callsWithoutAnswer: asker.unanswered,
        capacityPerSecond: capacity,
        askedPerSecond: target,
        answeredPerSecond: median(pieces.map(({ perSecond }) => perSecond)) + CHECKED_PER_SECOND,
      },
    },
    {
      what: 'resident memory, last quarter',
      measured: { value: last4, unit: 'MB' },
      ceiling: { value: second4, unit: 'MB', what: 'second quarter' },
      score: last4 / second4,
      bound: { atMost: 1.1 },
      detail: { maxMb: Math.max(...pieces.map(({ residentMb }) => residentMb)) },
    },
    {
      what: 'p99, last quarter',
      measured: { value: p99Late, unit: 'ms' },
      ceiling: { value: p99Early, unit: 'ms', what: 'first quarter' },
      score: p99Late / p99Early,
      bound: { atMost: 1.25 },
      detail: {
        p50Ms: median(pieces.map(({ p50 }) => p50)),
        p99MsMedian: median(pieces.map(({ p99 }) => p99)),
        p99MsWorstPiece: percentile(
          pieces.map(({ p99 }) => p99),
          1,
        ),
      },
    },
  ];
}

/** Deletes keys one after the other, and knows of each how far that has got. */
class Revocations {
  unconfirmed = 0;
  private readonly begun = new Set<number>();
  private readonly done = new Set<number>();
  private stopped = false;

  constructor(
    private readonly program: BenchProgram,
    private readonly query: (text: string, values: readonly unknown[]) => Promise<unknown>,
  ) {}

  get confirmed(): number {
    return this.done.size;
  }

  isBegun(key: number): boolean {
    return this.begun.has(key);
  }

  isConfirmed(key: number): boolean {
    return this.done.has(key);
  }

  async stop(): Promise<void> {
    this.stopped = true;
  }

  async run(): Promise<void> {
    while (!this.stopped && this.begun.size < KEYS / 2) {
      const key = 1 + Math.floor(Math.random() * (KEYS - 1));
      if (!this.begun.has(key)) await this.revoke(key);
      await pause(1000 / REVOCATIONS_PER_SECOND);
    }
  }

  private async revoke(key: number): Promise<void> {
    const { token, hash, account } = sessionOf(key);
    await this.query(`INSERT INTO latchkey.sessions VALUES ($1, $2, now() + interval '1 day') ON CONFLICT DO NOTHING`, [
      hash,
      account,
    ]);
    this.begun.add(key);
    const response = await fetch(`${this.program.addresses.http}/api/keys/${benchKeyId(key)}`, {
      method: 'DELETE',
      headers: { cookie: `session=${token}` },
    });
    await response.text();
    if (response.ok) this.done.add(key);
    else this.unconfirmed++;
  }
}
