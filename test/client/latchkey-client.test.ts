import { afterEach, describe, expect, it } from 'vitest';
import { createLatchkeyClient, type LatchkeyClientOptions, UndecidedError } from '../../src/client/index.js';
import { Failure, type FailureKind } from '../../src/domain/failure.js';
import { REASONS, reasonName } from '../../src/domain/reason.js';
import { Readiness } from '../../src/service/readiness.js';
import { keyRecord } from '../support/fakes/builders.js';
import { FakeAuthorizer, startGrpcServer, stopGrpcServers, until } from '../support/grpc.js';
import { clientOf, QUESTION, unixAddress, warningsOf } from '../support/latchkey-client.js';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  await stopGrpcServers();
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function start(options: Partial<LatchkeyClientOptions> = {}) {
  const authorizer = new FakeAuthorizer();
  const server = await startGrpcServer({ authorizer });
  return { authorizer, ...server, client: clientOf(server.address, options) };
}

/** Fails so often, then grants. */
function failing(authorizer: FakeAuthorizer, kind: FailureKind, times: number): void {
  let left = times;
  authorizer.answer('m', () => {
    if (left-- > 0) throw new Failure(kind, 'Why.');
    return authorizer.verdict(1);
  });
}

describe('authorize', () => {
  it.each(REASONS.map((reason) => [reasonName(reason), reason] as const))('answers %s', async (name, reason) => {
    const { client } = await start();
    const decision = await client.authorize({ ...QUESTION, method: `reason:${reason}` });
    expect(decision).toMatchObject({ reason: name, allowed: name === 'GRANTED' });
  });

  it('tells who the key is and what it may do', async () => {
    const { client, authorizer } = await start();
    authorizer.key = keyRecord({ id: 'id', accountId: 'acc', workflowId: 'w', permissions: 5, appId: 'app' });
    expect(await client.authorize(QUESTION)).toEqual({
      allowed: true,
      reason: 'GRANTED',
      keyId: 'id',
      accountId: 'acc',
      workflowId: 'w',
      permissions: ['read', 'write'],
      requiredPermission: 'read',
      appId: 'app',
    });
    expect(await client.authorize({ key: 'k', method: 'reason:3' })).toMatchObject({
      keyId: '',
      permissions: [],
      requiredPermission: 'read',
    });
    expect(authorizer.asked.at(-1)).toMatchObject({ workflowId: '' });
  });

  it('tries again on UNAVAILABLE', async () => {
    const { client, authorizer } = await start();
    failing(authorizer, 'unavailable', 3);
    expect((await client.authorize(QUESTION)).allowed).toBe(true);
    expect(authorizer.asked).toHaveLength(4);
  });

  it('gives up after its attempts and says why', async () => {
    const { client, authorizer } = await start({ maxAttempts: 2 });
    failing(authorizer, 'unavailable', 99);
    const error = await client.authorize(QUESTION).catch((rejection) => rejection);
    expect(error).toBeInstanceOf(UndecidedError);
    expect(error).toMatchObject({ code: 'UNAVAILABLE', message: 'UNAVAILABLE: Why.' });
    expect(authorizer.asked).toHaveLength(2);
  });

  it.each<[FailureKind, string]>([
    ['overloaded', 'RESOURCE_EXHAUSTED'],
    ['invalid-argument', 'INVALID_ARGUMENT'],
    ['deadline-exceeded', 'DEADLINE_EXCEEDED'],
  ])('does not try again on %s', async (kind, code) => {
    const { client, authorizer } = await start();
    failing(authorizer, kind, 99);
    await expect(client.authorize(QUESTION)).rejects.toMatchObject({ code });
    expect(authorizer.asked).toHaveLength(1);
  });

  it('has any number of calls under way without a warning of a leak', async () => {
    const { client } = await start();
    const warnings = await warningsOf(() => Promise.all(Array.from({ length: 50 }, () => client.authorize(QUESTION))));
    expect(warnings).toEqual([]);
  });

  it('ends at its deadline', async () => {
    const { client, authorizer } = await start();
    authorizer.answer('m', () => new Promise(() => {}));
    await expect(client.authorize(QUESTION, { deadlineMs: 30 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });

  it('ends when the caller gives up, also while it waits to try again', async () => {
    const { client, authorizer } = await start({ maxAttempts: 1000 });
    authorizer.answer('m', () => new Promise(() => {}));
    const first = new AbortController();
    const calling = expect(client.authorize(QUESTION, { signal: first.signal })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    await until(() => authorizer.asked.length === 1);
    first.abort();
    await calling;

    failing(authorizer, 'unavailable', 1000);
    const second = new AbortController();
    const waiting = expect(client.authorize(QUESTION, { signal: second.signal })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    await until(() => authorizer.asked.length >= 2);
    second.abort();
    await waiting;
    await expect(client.authorize(QUESTION, { signal: second.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('rejects after close, and so does what was under way', async () => {
    const { client, authorizer } = await start();
    authorizer.answer('m', () => new Promise(() => {}));
    const calling = expect(client.authorize(QUESTION)).rejects.toMatchObject({ code: 'CANCELLED' });
    await until(() => authorizer.asked.length === 1);
    client.close();
    await calling;
    await expect(client.authorize(QUESTION)).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('works over a unix socket', async () => {
    const { address, remove } = await unixAddress();
    cleanups.push(remove);
    await startGrpcServer({ addresses: [address] });
    expect((await clientOf(address.text).authorize(QUESTION)).allowed).toBe(true);
  });

  it.each([
    [{ deadlineMs: 0 }],
    [{ deadlineMs: Number.NaN }],
    [{ maxAttempts: 0 }],
    [{ maxAttempts: 1.5 }],
    [{ address: [] }],
  ])('refuses the options %j', (options) => {
    expect(() => createLatchkeyClient({ address: '127.0.0.1:1', ...options })).toThrow(RangeError);
  });
});

describe('several sidecars', () => {
  it('asks the first while it is healthy', async () => {
    const [first, second] = [await start(), await start()];
    const client = clientOf([first.address, second.address]);
    for (let i = 0; i < 5; i++) await client.authorize(QUESTION);
    expect([first.authorizer.asked.length, second.authorizer.asked.length]).toEqual([5, 0]);
  });

  it('asks another when one says that it is not serving, and comes back', async () => {
    const readiness = new Readiness(['grpc']);
    const authorizer = new FakeAuthorizer();
    const first = await startGrpcServer({ authorizer, readiness });
    const second = await start();
    const client = clientOf([first.address, second.address]);
    const asksSecond = async () => {
      const before = second.authorizer.asked.length;
      await client.authorize(QUESTION);
      return second.authorizer.asked.length > before;
    };
    while (!(await asksSecond()));
    readiness.mark('grpc', true);
    while (await asksSecond());
    expect(await asksSecond()).toBe(false);
  });

  it('tries again at another when one cannot be reached', async () => {
    const second = await start();
    const client = clientOf(['127.0.0.1:1', second.address], { healthChecks: false });
    expect((await client.authorize(QUESTION)).allowed).toBe(true);
  });

  it('goes on at another when one shuts down, without a failed call', async () => {
    const [first, second] = [await start(), await start()];
    const client = clientOf([first.address, second.address]);
    let stop = false;
    let calls = 0;
    const asking = Array.from({ length: 4 }, async () => {
      while (!stop) {
        expect((await client.authorize(QUESTION)).allowed).toBe(true);
        calls++;
      }
    });
    await until(() => calls > 20);
    await first.stop();
    const before = calls;
    await until(() => calls > before + 20);
    stop = true;
    await Promise.all(asking);
    expect(second.authorizer.asked.length).toBeGreaterThan(0);
  });

  it('asks another again when one cuts the calls that it had', async () => {
    const [first, second] = [await start(), await start()];
    first.authorizer.answer('m', () => new Promise(() => {}));
    const client = clientOf([first.address, second.address]);
    const calling = client.authorize(QUESTION);
    await until(() => first.authorizer.asked.length === 1);
    await first.server.drain(10);
    expect((await calling).allowed).toBe(true);
    expect(second.authorizer.asked).toHaveLength(1);
  });

  it('asks one that is not serving when there is no other', async () => {
    const readiness = new Readiness(['grpc']);
    const { address } = await startGrpcServer({ readiness });
    const client = clientOf(address);
    for (let i = 0; i < 3; i++) expect((await client.authorize(QUESTION)).allowed).toBe(true);
  });

  it('says at its deadline why, where nobody can be reached', async () => {
    const client = clientOf(['127.0.0.1:1', '127.0.0.1:2'], { deadlineMs: 300 });
    await expect(client.authorize(QUESTION)).rejects.toMatchObject({
      name: 'UndecidedError',
      message: expect.stringContaining('no connection to 127.0.0.1:1 or 127.0.0.1:2: '),
    });
  });

  it('tries once where one attempt is all that is asked for', async () => {
    const client = clientOf('127.0.0.1:1', { maxAttempts: 1, deadlineMs: 600_000 });
    await expect(client.authorize(QUESTION)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('finds a sidecar again that was restarted', async () => {
    const { address, remove } = await unixAddress();
    cleanups.push(remove);
    const addresses = [address];
    const before = await startGrpcServer({ addresses });
    const client = clientOf(address.text, { maxAttempts: 2 });
    await client.authorize(QUESTION);
    await before.stop();
    const calling = client.authorize(QUESTION);
    const impatient = clientOf(address.text, { maxAttempts: 1 });
    await expect(impatient.authorize(QUESTION)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await startGrpcServer({ addresses });
    expect((await calling).allowed).toBe(true);
  });
});

describe('authorizeBatch', () => {
  it('answers in the order of the questions', async () => {
    const { client } = await start();
    const decisions = await client.authorizeBatch(
      REASONS.map((reason) => ({ ...QUESTION, method: `reason:${reason}` })),
    );
    expect(decisions.map(({ reason }) => reason)).toEqual(REASONS.map(reasonName));
  });

  it('answers an empty batch without a call and refuses one of 1001', async () => {
    const { client, authorizer } = await start();
    expect(await client.authorizeBatch([])).toEqual([]);
    await expect(client.authorizeBatch(Array(1001).fill(QUESTION))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(authorizer.asked).toEqual([]);
  });
});

describe('batching', () => {
  it('asks what one turn of the event loop gathers in one call, and answers each its own', async () => {
    const { client, authorizer } = await start({ batching: true });
    const answers = await Promise.all(
      REASONS.map((reason) => client.authorize({ ...QUESTION, method: `reason:${reason}` })),
    );
    expect(answers.map(({ reason }) => reason)).toEqual(REASONS.map(reasonName));
    expect(authorizer.asked.map(({ surface }) => surface)).toEqual(REASONS.map(() => 'batch'));
  });

  it('splits more than 1000', async () => {
    const { client, authorizer } = await start({ batching: true });
    const answers = await Promise.all(Array.from({ length: 2_500 }, () => client.authorize(QUESTION)));
    expect(answers.every(({ allowed }) => allowed)).toBe(true);
    expect(authorizer.asked).toHaveLength(2_500);
  });

  it('asks a question alone when it is alone, or has a deadline of its own', async () => {
    const { client, authorizer } = await start({ batching: true });
    await client.authorize(QUESTION);
    await Promise.all([client.authorize(QUESTION, { deadlineMs: 5_000 }), client.authorize(QUESTION, {})]);
    expect(authorizer.asked.map(({ surface }) => surface)).toEqual(['authorize', 'authorize', 'authorize']);
  });

  it('lets an unusable question fail alone', async () => {
    const { client } = await start({ batching: true });
    const unusable = { ...QUESTION, method: 'm'.repeat(4097) };
    const results = await Promise.allSettled(
      [QUESTION, unusable, QUESTION].map((question) => client.authorize(question)),
    );
    expect(results).toMatchObject([
      { value: { allowed: true } },
      { reason: { code: 'INVALID_ARGUMENT' } },
      { value: { allowed: true } },
    ]);
  });

  it('tells everyone when the batch cannot be decided', async () => {
    const { client, authorizer } = await start({ batching: true });
    failing(authorizer, 'overloaded', 99);
    const results = await Promise.allSettled([QUESTION, QUESTION].map((question) => client.authorize(question)));
    expect(results).toMatchObject(Array(2).fill({ reason: { code: 'RESOURCE_EXHAUSTED' } }));
  });
});
