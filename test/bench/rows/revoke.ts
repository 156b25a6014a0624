import { createHash } from 'node:crypto';
import pg from 'pg';
import { AuthorizeResponse } from '../../../src/gen/latchkey/v1/authorization_service.js';
import { Decision } from '../../../src/gen/latchkey/v1/decision.js';
import { systemClock } from '../../../src/observability/system-clock.js';
import { Asker } from '../asker.js';
import { KEYS_PER_ACCOUNT } from '../bench-databases.js';
import { benchAccount, benchKeyId } from '../bench-keys.js';
import { BenchProgram } from '../bench-program.js';
import { RawGrpcClient } from '../raw-grpc-client.js';
import type { BenchContext, Finding, Row } from '../row.js';
import { AUTHORIZE, questionOf } from '../served.js';
import { type Percentiles, percentiles } from '../statistics.js';

const SIDECARS = 8;
const CALLS_PER_SECOND = 1_600;

/** A session of the account that owns key number `index`, for the REST API. */
export function sessionOf(index: number): { readonly token: string; readonly hash: Buffer; readonly account: string } {
  const account = benchAccount(Math.floor(index / KEYS_PER_ACCOUNT));
  const token = `bench-${account}`;
  return { token, hash: createHash('sha256').update(token).digest(), account };
}

/** What was seen of revocations; times in ms. */
interface Seen {
  readonly commit: Percentiles;
  /** From the DELETE to its answer. */
  readonly answered: Percentiles;
  /** From the commit to the proof, as the receipt says. */
  readonly proven: Percentiles;
  readonly stale: number;
  readonly asked: number;
  readonly waitedOut: number;
  readonly callsPerSecond: number;
  readonly callsWithoutAnswer: number;
}

/** From DELETE to its receipt, with eight sidecars that answer calls meanwhile, and with one that has nothing to do. */
export const revokeRow: Row = {
  name: 'revoke',
  title: 'revoke to confirmed, 8 sidecars under load',
  method:
    'Eight built programs on one database share two cores with it, each asked 200 times a second. Every key is first asked on all eight, then deleted over REST on one of them, then asked on all eight as soon as the answer is there. In turns with an UPDATE of one row of a plain table, committed to the disk by the same server over an open connection. Then the same with one program that is asked nothing else, to tell what eight on two cores cost each other.',
  async run(context: BenchContext): Promise<readonly Finding[]> {
    const count = context.quick ? 60 : 400;
    const eight = await revocations(context, SIDECARS, CALLS_PER_SECOND, count);
    const one = await revocations(context, 1, 0, count / 2);
    const commitOf = ({ commit }: Seen) => ({ value: commit.p50, unit: 'ms', what: 'a bare commit, p50' });
    return [
      {
        what: 'DELETE to receipt, p50',
        measured: { value: eight.answered.p50, unit: 'ms' },
        ceiling: commitOf(eight),
        score: eight.answered.p50 - eight.commit.p50,
        bound: { atMost: 5 },
        detail: {
          p95Ms: eight.answered.p95,
          bareCommitP99Ms: eight.commit.p99,
          callsPerSecondMeanwhile: eight.callsPerSecond,
          callsWithoutAnswer: eight.callsWithoutAnswer,
          sidecarsWaitedOut: eight.waitedOut,
        },
      },
      {
        what: 'DELETE to receipt, p99',
        measured: { value: eight.answered.p99, unit: 'ms' },
        ceiling: { value: eight.commit.p99, unit: 'ms', what: 'a bare commit, p99' },
        score: eight.answered.p99,
        bound: { atMost: 25 },
      },
      {
        what: 'of that, commit to proof, p50',
        measured: { value: eight.proven.p50, unit: 'ms' },
        ceiling: commitOf(eight),
        score: eight.proven.p50 - eight.commit.p50,
      },
      {
        what: 'of that, commit to proof, p99',
        measured: { value: eight.proven.p99, unit: 'ms' },
        score: eight.proven.p99,
      },
      {
        what: 'DELETE to receipt with one sidecar, p50',
        measured: { value: one.answered.p50, unit: 'ms' },
        ceiling: commitOf(one),
        score: one.answered.p50 - one.commit.p50,
        detail: { p95Ms: one.answered.p95, p99Ms: one.answered.p99, commitToProofP50Ms: one.proven.p50 },
      },
      {
        what: `stale answers of ${eight.asked + one.asked}`,
        measured: { value: eight.stale + one.stale, unit: '' },
        score: eight.stale + one.stale,
        bound: { atMost: 0 },
      },
    ];
  },
};

/** Revokes so many keys, one after the other, on a database and programs of their own. */
async function revocations(
  { databases, say }: BenchContext,
  sidecars: number,
  perSecond: number,
  count: number,
): Promise<Seen> {
  const database = await databases.create(count + 1000);
  await database.query('CREATE TABLE public.bare (id int PRIMARY KEY, at timestamptz)');
  await database.query('INSERT INTO public.bare SELECT i, now() FROM generate_series(1, 1000) AS i');
  const committer = new pg.Client({ connectionString: database.url });
  await committer.connect();
  const programs = await Promise.all(
    Array.from({ length: sidecars }, () =>
      BenchProgram.start({ databaseUrl: database.url, env: { LATCHKEY_POOL_SIZE: '4', LATCHKEY_LOG_LEVEL: 'info' } }),
    ),
  );
  const clients = await Promise.all(programs.map(({ grpc }) => RawGrpcClient.connect(grpc)));
  const load = new Asker({
    clients,
    path: `/${AUTHORIZE}`,
    message: (index) => questionOf(count + (index % 1000)),
    inFlight: perSecond === 0 ? 0 : sidecars * 16,
    perSecond,
  });
  try {
    const bare: number[] = [];
    const answered: number[] = [];
    const proven: number[] = [];
    let stale = 0;
    let waitedOut = 0;
    for (let index = 0; index < count; index++) {
      if (index % 50 === 0) say(`${index} of ${count} revoked, ${sidecars} sidecars`);
      const question = questionOf(index);
      const ask = async (): Promise<number> => {
        const answers = await Promise.all(clients.map((client) => client.call(`/${AUTHORIZE}`, question)));
        return answers.filter((answer) => answer !== null && isAllowed(answer)).length;
      };
      if ((await ask()) !== sidecars) throw new Error('a key was not granted everywhere before its revocation');
      bare.push(
        await timed(() => committer.query('UPDATE public.bare SET at = now() WHERE id = $1', [1 + (index % 1000)])),
      );
      const { token, hash, account } = sessionOf(index);
      await database.query(
        `INSERT INTO latchkey.sessions VALUES ($1, $2, now() + interval '1 hour') ON CONFLICT DO NOTHING`,
        [hash, account],
      );
      const url = `${programs[index % sidecars]?.addresses.http}/api/keys/${benchKeyId(index)}`;
      let receipt: { sidecars: { expired: number }; confirmed_in_ms: number } | undefined;
      answered.push(
        await timed(async () => {
          const response = await fetch(url, { method: 'DELETE', headers: { cookie: `session=${token}` } });
          const body = (await response.json()) as { success?: boolean; receipt: NonNullable<typeof receipt> };
          if (!response.ok || body.success !== true) throw new Error(`not revoked: ${response.status}`);
          receipt = body.receipt;
        }),
      );
      stale += await ask();
      proven.push(receipt?.confirmed_in_ms ?? Number.NaN);
      if ((receipt?.sidecars.expired ?? 0) > 0) waitedOut++;
    }
    return {
      commit: percentiles(bare),
      answered: percentiles(answered),
      proven: percentiles(proven),
      stale,
      asked: count * sidecars,
      waitedOut,
      callsPerSecond: await load.stop(),
      callsWithoutAnswer: load.unanswered,
    };
  } finally {
    for (const client of clients) client.close();
    await Promise.all(programs.map((program) => program.stop()));
    await committer.end();
  }
}

/** Reports whether an `AuthorizeResponse` allows. */
export function isAllowed(answer: Buffer): boolean {
  return AuthorizeResponse.decode(answer).decision === Decision.ALLOW;
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const startedMs = systemClock.monotonicMs();
  await run();
  return systemClock.monotonicMs() - startedMs;
}
