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
import { percentiles } from '../statistics.js';

const SIDECARS = 8;
const CALLS_PER_SECOND = 1_600;

/** A session of the account that owns key number `index`, for the REST API. */
export function sessionOf(index: number): { readonly token: string; readonly hash: Buffer; readonly account: string } {
  const account = benchAccount(Math.floor(index / KEYS_PER_ACCOUNT));
  const token = `bench-${account}`;
  return { token, hash: createHash('sha256').update(token).digest(), account };
}

/** From DELETE to its receipt, with eight sidecars that answer calls meanwhile. */
export const revokeRow: Row = {
  name: 'revoke',
  title: 'revoke to confirmed, 8 sidecars under load',
  method:
    'Eight built programs on one database share two cores with it, each asked 200 times a second. Every key is first asked on all eight, then deleted over REST on one of them, then asked on all eight as soon as the answer is there. In turns with an UPDATE of one row of a plain table, committed to the disk by the same server over an open connection.',
  async run(context: BenchContext): Promise<readonly Finding[]> {
    const count = context.quick ? 60 : 400;
    const database = await context.databases.create(count + 1000);
    await database.query('CREATE TABLE public.bare (id int PRIMARY KEY, at timestamptz)');
    await database.query('INSERT INTO public.bare SELECT i, now() FROM generate_series(1, 1000) AS i');
    const committer = new pg.Client({ connectionString: database.url });
    await committer.connect();
    const programs = await Promise.all(
      Array.from({ length: SIDECARS }, () =>
        BenchProgram.start({ databaseUrl: database.url, env: { LATCHKEY_POOL_SIZE: '4', LATCHKEY_LOG_LEVEL: 'info' } }),
      ),
    );
    const clients = await Promise.all(programs.map(({ grpc }) => RawGrpcClient.connect(grpc)));
    const load = new Asker({
      clients,
      path: `/${AUTHORIZE}`,
      message: (index) => questionOf(count + (index % 1000)),
      inFlight: SIDECARS * 16,
      perSecond: CALLS_PER_SECOND,
    });
    try {
      const bare: number[] = [];
      const confirmed: number[] = [];
      const receipts: number[] = [];
      let stale = 0;
      let waitedOut = 0;
      for (let index = 0; index < count; index++) {
        if (index % 50 === 0) context.say(`${index} of ${count} revoked`);
        const question = questionOf(index);
        const ask = async (): Promise<number> => {
          const answers = await Promise.all(clients.map((client) => client.call(`/${AUTHORIZE}`, question)));
          return answers.filter((answer) => answer !== null && isAllowed(answer)).length;
        };
        if ((await ask()) !== SIDECARS) throw new Error('a key was not granted everywhere before its revocation');
        bare.push(
          await timed(() => committer.query('UPDATE public.bare SET at = now() WHERE id = $1', [1 + (index % 1000)])),
        );
        const { token, hash, account } = sessionOf(index);
        await database.query(
          `INSERT INTO latchkey.sessions VALUES ($1, $2, now() + interval '1 hour') ON CONFLICT DO NOTHING`,
          [hash, account],
        );
        const url = `${programs[index % SIDECARS]?.addresses.http}/api/keys/${benchKeyId(index)}`;
        let receipt: { sidecars: { expired: number }; confirmed_in_ms: number } | undefined;
        confirmed.push(
          await timed(async () => {
            const response = await fetch(url, { method: 'DELETE', headers: { cookie: `session=${token}` } });
            const body = (await response.json()) as { success?: boolean; receipt: NonNullable<typeof receipt> };
            if (!response.ok || body.success !== true) throw new Error(`not revoked: ${response.status}`);
            receipt = body.receipt;
          }),
        );
        stale += await ask();
        receipts.push(receipt?.confirmed_in_ms ?? Number.NaN);
        if ((receipt?.sidecars.expired ?? 0) > 0) waitedOut++;
      }
      const perSecond = await load.stop();
      const commit = percentiles(bare);
      const all = percentiles(confirmed);
      const barrier = percentiles(receipts);
      const ceiling = { value: commit.p50, unit: 'ms', what: 'a bare commit, p50' };
      const detail = {
        p95Ms: all.p95,
        barrierP50Ms: barrier.p50,
        barrierP99Ms: barrier.p99,
        bareCommitP99Ms: commit.p99,
        callsPerSecondMeanwhile: perSecond,
        callsWithoutAnswer: load.unanswered,
        sidecarsWaitedOut: waitedOut,
      };
      return [
        {
          what: 'DELETE to receipt, p50',
          measured: { value: all.p50, unit: 'ms' },
          ceiling,
          score: all.p50 - commit.p50,
          bound: { atMost: 5 },
          detail,
        },
        {
          what: 'DELETE to receipt, p99',
          measured: { value: all.p99, unit: 'ms' },
          ceiling: { value: commit.p99, unit: 'ms', what: 'a bare commit, p99' },
          score: all.p99,
          bound: { atMost: 25 },
        },
        {
          what: 'of that, commit to proof, p50',
          measured: { value: barrier.p50, unit: 'ms' },
          ceiling,
          score: barrier.p50 - commit.p50,
        },
        {
          what: 'of that, commit to proof, p99',
          measured: { value: barrier.p99, unit: 'ms' },
          score: barrier.p99,
        },
        {
          what: `stale answers of ${count * SIDECARS}`,
          measured: { value: stale, unit: '' },
          score: stale,
          bound: { atMost: 0 },
        },
      ];
    } finally {
      for (const client of clients) client.close();
      await Promise.all(programs.map((program) => program.stop()));
      await committer.end();
    }
  },
};

/** Reports whether an `AuthorizeResponse` allows. */
export function isAllowed(answer: Buffer): boolean {
  return AuthorizeResponse.decode(answer).decision === Decision.ALLOW;
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const startedMs = systemClock.monotonicMs();
  await run();
  return systemClock.monotonicMs() - startedMs;
}
