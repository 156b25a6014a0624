import { setMaxListeners } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { STREAM_WAITING_MAX } from '../../src/client/decision-stream.js';
import type { DecisionStream, LatchkeyClient, LatchkeyClientOptions } from '../../src/client/index.js';
import { Failure } from '../../src/domain/failure.js';
import { REASONS, reasonName } from '../../src/domain/reason.js';
import type { Verdict } from '../../src/service/authorizer.js';
import { Readiness } from '../../src/service/readiness.js';
import { STREAM_IN_FLIGHT_MAX } from '../../src/transport/grpc/authorize-stream.js';
import { FakeAuthorizer, startGrpcServer, stopGrpcServers, until } from '../support/grpc.js';
import { clientOf, QUESTION, unixAddress, warningsOf } from '../support/latchkey-client.js';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  await stopGrpcServers();
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const NEVER = (): Promise<Verdict> => new Promise(() => {});

function streamOf(address: string | string[], options: Partial<LatchkeyClientOptions> = {}) {
  const client = clientOf(address, options);
  return { client, stream: client.authorizeStream() };
}

async function start(options: Partial<LatchkeyClientOptions> = {}) {
  const authorizer = new FakeAuthorizer();
  const server = await startGrpcServer({ authorizer });
  return { authorizer, ...server, ...streamOf(server.address, options) };
}

const surfaces = ({ asked }: FakeAuthorizer) => asked.map(({ surface }) => surface);
const askMany = (stream: DecisionStream, count: number, workflowId = 'w') =>
  Array.from({ length: count }, (_, index) =>
    stream.ask({ ...QUESTION, workflowId, method: `reason:${(index % 11) + 1}` }),
  );

/** An authorizer that lets questions about `m` wait until they are released. */
function holding(authorizer: FakeAuthorizer) {
  const held: (() => void)[] = [];
  let over = false;
  authorizer.answer('m', () => {
    if (over) return authorizer.verdict(1);
    return new Promise((resolve) => held.push(() => resolve(authorizer.verdict(1))));
  });
  return {
    held,
    release() {
      over = true;
      for (const release of held) release();
    },
  };
}

describe('authorizeStream', () => {
  it('answers each question its own answer, all over the stream', async () => {
    const { stream, authorizer } = await start();
    const decisions = await Promise.all(
      REASONS.map((reason) => stream.ask({ key: 'k', method: `reason:${reason}`, workflowId: `w${reason}` })),
    );
    expect(decisions.map(({ reason, allowed }) => [reason, allowed])).toEqual(
      REASONS.map((reason) => [reasonName(reason), reasonName(reason) === 'GRANTED']),
    );
    expect(decisions[0]).toMatchObject({ accountId: authorizer.key.accountId, requiredPermission: 'read' });
    expect(surfaces(authorizer)).toEqual(REASONS.map(() => 'stream'));
  });

  it('lets an answer overtake another', async () => {
    const { stream, authorizer } = await start();
    let release: (verdict: Verdict) => void = () => {};
    authorizer.answer('slow', () => new Promise((resolve) => (release = resolve)));
    const slow = stream.ask({ ...QUESTION, method: 'slow' });
    expect((await stream.ask({ ...QUESTION, method: 'reason:11' })).reason).toBe('PERMISSION_MISSING');
    release(authorizer.verdict(1));
    expect((await slow).reason).toBe('GRANTED');
  });

  it('holds questions back while the server takes no more, and answers them all in the end', async () => {
    const { stream, authorizer } = await start();
    const { held, release } = holding(authorizer);
    const stuck = Array.from({ length: STREAM_IN_FLIGHT_MAX }, () => stream.ask(QUESTION));
    // More bytes than the connection keeps on the way.
    const more = askMany(stream, 2_000, 'w'.repeat(4_000));
    await until(() => held.length === STREAM_IN_FLIGHT_MAX);
    // One that is given up while it is held back is never sent.
    const leave = new AbortController();
    const givenUp = stream.ask({ ...QUESTION, method: 'given up' }, { signal: leave.signal });
    leave.abort();
    await expect(givenUp).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(authorizer.asked).toHaveLength(STREAM_IN_FLIGHT_MAX);
    release();
    expect((await Promise.all(more)).map(({ reason }) => reason)).toEqual(
      more.map((_, index) => reasonName(REASONS[index % 11] as (typeof REASONS)[number])),
    );
    await Promise.all(stuck);
    expect(authorizer.asked.some(({ method }) => method === 'given up')).toBe(false);
    expect(new Set(surfaces(authorizer))).toEqual(new Set(['stream']));
  });

  it('refuses at once what is beyond its bound, and takes questions again below it', async () => {
    const { stream, authorizer } = await start();
    const { release } = holding(authorizer);
    const leave = new AbortController();
    setMaxListeners(0, leave.signal);
    const waiting = Promise.allSettled(
      Array.from({ length: STREAM_WAITING_MAX }, () => stream.ask(QUESTION, { signal: leave.signal })),
    );
    await expect(stream.ask(QUESTION)).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    leave.abort();
    await waiting;
    release();
    expect((await stream.ask(QUESTION)).allowed).toBe(true);
  });

  it('ends a question at its deadline, and goes on with the stream', async () => {
    const { stream, authorizer } = await start();
    authorizer.answer('m', NEVER);
    await expect(stream.ask(QUESTION, { deadlineMs: 30 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect((await stream.ask({ ...QUESTION, method: 'reason:1' })).allowed).toBe(true);
    expect(surfaces(authorizer)).toEqual(['stream', 'stream']);
  });

  it('has the deadline of its client', async () => {
    const { stream, authorizer } = await start({ deadlineMs: 30 });
    authorizer.answer('m', NEVER);
    await expect(stream.ask(QUESTION)).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });

  it('ends when the caller gives up', async () => {
    const { stream, authorizer } = await start();
    authorizer.answer('m', NEVER);
    const leave = new AbortController();
    const asking = expect(stream.ask(QUESTION, { signal: leave.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
    await until(() => authorizer.asked.length === 1);
    leave.abort();
    await asking;
    await expect(stream.ask(QUESTION, { signal: leave.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(authorizer.asked).toHaveLength(1);
  });

  it('does not send a question that would end the stream for all', async () => {
    const { stream, authorizer } = await start();
    authorizer.answer('slow', async () => {
      await until(() => authorizer.asked.length === 2);
      return authorizer.verdict(1);
    });
    const slow = stream.ask({ ...QUESTION, method: 'slow' });
    for (const field of ['key', 'workflowId', 'method']) {
      const long = { ...QUESTION, [field]: 'é'.repeat(2_049) };
      await expect(stream.ask(long)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    await stream.ask({ ...QUESTION, method: 'é'.repeat(2_048) });
    expect((await slow).allowed).toBe(true);
    expect(surfaces(authorizer)).toEqual(['stream', 'stream']);
  });

  it('asks for a caller without types that has no key, and passes the denial on', async () => {
    const { stream, authorizer } = await start();
    const key = undefined as unknown as string;
    authorizer.answer('m', ({ key: asked }) => authorizer.verdict(asked === '' ? 3 : 1));
    expect((await stream.ask({ ...QUESTION, key })).allowed).toBe(false);
  });

  it('lets a question that cannot be decided fail alone, though it ends the stream', async () => {
    const { stream, authorizer } = await start();
    authorizer.answer('shed', () => {
      throw new Failure('overloaded', 'Why.');
    });
    // Under way when the stream ends.
    authorizer.answer('waits', ({ surface }) => (surface === 'stream' ? NEVER() : authorizer.verdict(1)));
    const results = await Promise.allSettled(
      ['waits', 'shed', 'waits'].map((method) => stream.ask({ ...QUESTION, method })),
    );
    expect(results).toMatchObject([
      { value: { allowed: true } },
      { reason: { name: 'UndecidedError', code: 'RESOURCE_EXHAUSTED' } },
      { value: { allowed: true } },
    ]);
    await untilAsync(async () => {
      await stream.ask(QUESTION);
      return authorizer.asked.at(-1)?.surface === 'stream';
    });
  });

  it('says UNAVAILABLE where nobody answers', async () => {
    const { stream } = streamOf('127.0.0.1:1', { maxAttempts: 1 });
    await expect(Promise.all(askMany(stream, 3))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('asks elsewhere what a lost sidecar has left, and comes back to a stream', async () => {
    const [first, second] = [await start(), await start()];
    const { stream } = streamOf([first.address, second.address]);
    first.authorizer.answer('m', NEVER);
    const left = Array.from({ length: 20 }, () => stream.ask(QUESTION));
    await until(() => first.authorizer.asked.length === 20);
    await first.server.drain(10);
    expect((await Promise.all(left)).every(({ allowed }) => allowed)).toBe(true);
    await untilAsync(async () => {
      await stream.ask(QUESTION);
      return second.authorizer.asked.at(-1)?.surface === 'stream';
    });
  });

  it('finds a sidecar again that was restarted', async () => {
    const { address, remove } = await unixAddress();
    cleanups.push(remove);
    const addresses = [address];
    const before = await startGrpcServer({ addresses });
    const { stream } = streamOf(address.text);
    await stream.ask(QUESTION);
    await before.stop();
    const asking = stream.ask(QUESTION);
    const authorizer = new FakeAuthorizer();
    await startGrpcServer({ addresses, authorizer });
    expect((await asking).allowed).toBe(true);
    await untilAsync(async () => {
      await stream.ask(QUESTION);
      return surfaces(authorizer).includes('stream');
    });
  });

  it('moves when its sidecar is not serving, without a failed question, and moves back', async () => {
    const readiness = new Readiness(['grpc']);
    readiness.mark('grpc', true);
    const authorizer = new FakeAuthorizer();
    const first = await startGrpcServer({ authorizer, readiness });
    const second = await start();
    const { stream } = streamOf([first.address, second.address]);
    let release: (verdict: Verdict) => void = () => {};
    authorizer.answer('slow', () => new Promise((resolve) => (release = resolve)));
    const slow = stream.ask({ ...QUESTION, method: 'slow' });
    await until(() => authorizer.asked.length === 1);
    const asksSecond = async () => {
      const before = second.authorizer.asked.length;
      await stream.ask(QUESTION);
      return second.authorizer.asked.length > before;
    };
    expect(await asksSecond()).toBe(false);
    readiness.mark('grpc', false);
    await untilAsync(asksSecond);
    expect(surfaces(second.authorizer)).toContain('stream');
    // What was asked is answered where it was asked.
    release(authorizer.verdict(1));
    expect((await slow).allowed).toBe(true);
    expect(authorizer.asked.filter(({ method }) => method === 'slow')).toHaveLength(1);
    readiness.mark('grpc', true);
    await untilAsync(async () => !(await asksSecond()));
    expect(authorizer.asked.at(-1)?.surface).toBe('stream');
  });

  it.each<[string, (parts: { client: LatchkeyClient; stream: DecisionStream }) => void]>([
    ['it is closed', ({ stream }) => stream.close()],
    ['its client is closed', ({ client }) => client.close()],
  ])('rejects what is under way, and everything after, when %s', async (_, close) => {
    const { stream, client, authorizer } = await start();
    authorizer.answer('m', NEVER);
    const asking = expect(stream.ask(QUESTION)).rejects.toMatchObject({ code: 'CANCELLED' });
    await until(() => authorizer.asked.length === 1);
    close({ client, stream });
    await asking;
    await expect(stream.ask(QUESTION)).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(client.authorizeStream().ask(QUESTION, { deadlineMs: 30 })).rejects.toBeDefined();
    expect(authorizer.asked.length).toBeLessThanOrEqual(2);
  });

  it('rejects what it asks alone when it is closed', async () => {
    const { stream, authorizer } = await start();
    authorizer.answer('m', ({ surface }) => {
      if (surface === 'stream') throw new Failure('overloaded', 'Why.');
      return NEVER();
    });
    const asking = expect(stream.ask(QUESTION)).rejects.toMatchObject({ code: 'CANCELLED' });
    await until(() => surfaces(authorizer).includes('authorize'));
    stream.close();
    await asking;
  });

  it('has any number of questions under way without a warning of a leak', async () => {
    const { stream } = await start();
    const { stream: unreachable } = streamOf('127.0.0.1:1', { maxAttempts: 1 });
    const warnings = await warningsOf(async () => {
      await Promise.all(askMany(stream, 50));
      await Promise.allSettled(askMany(unreachable, 50));
    });
    expect(warnings).toEqual([]);
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])('refuses a deadline of %s', async (deadlineMs) => {
    const { stream } = await start();
    await expect(stream.ask(QUESTION, { deadlineMs })).rejects.toThrow(RangeError);
  });
});

/** Asks again until the answer is yes; the test's own timeout bounds it. */
async function untilAsync(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 1));
}
