import { beforeEach, describe, expect, it } from 'vitest';
import { Failure } from '../../src/domain/failure.js';
import { NO_LEASE } from '../../src/ports/lease.js';
import { ALL_PROTECTIONS, type Protections } from '../../src/ports/protections.js';
import { BatchedReads } from '../../src/store/batched-reads.js';
import { LeasedCache, type LeasedCacheParts } from '../../src/store/leased-cache.js';
import { FakeClock } from '../support/fakes/fake-clock.js';
import { FakeLease } from '../support/fakes/fake-lease.js';
import { FakeTimers } from '../support/fakes/fake-timers.js';
import { RecordingMetrics } from '../support/fakes/recording-metrics.js';
import { ScriptedSource } from '../support/fakes/scripted-source.js';
import { settle } from '../support/fakes/settle.js';

function setUp(given: Partial<LeasedCacheParts<string>> = {}, protections: Partial<Protections> = {}) {
  const clock = new FakeClock();
  const metrics = new RecordingMetrics();
  const lease = new FakeLease().grant();
  const source = new ScriptedSource<string, string>();
  const reads = new BatchedReads<string, string>({ source, name: 'keys', metrics, timers: new FakeTimers(clock) });
  const cache = new LeasedCache<string>(
    {
      reads,
      lease,
      metrics,
      source: 'keys',
      presentName: 'keys',
      absentName: 'unknown_keys',
      maxPresent: 3,
      maxAbsent: 3,
      ...given,
    },
    { ...ALL_PROTECTIONS, ...protections },
  );
  /** Answers the oldest open statement, with `value` for each of its keys. */
  const answer = async (value: string | null): Promise<void> => {
    source.open[0]?.answer(source.open[0].keys.map(() => value));
    await settle();
  };
  return { metrics, lease, source, cache, answer };
}

type World = ReturnType<typeof setUp>;

/** Asks without waiting for the answer, and lets the read be sent. The promise is wrapped: awaiting would unwrap it. */
async function asked(world: World, key: string): Promise<{ readonly answer: Promise<string | null> }> {
  const answer = Promise.resolve(world.cache.find(key));
  answer.catch(() => {});
  await settle();
  return { answer };
}

/** Puts a value into the cache the ordinary way. */
async function fill(world: World, key: string, value: string | null): Promise<void> {
  await asked(world, key);
  await world.answer(value);
}

describe('a leased cache', () => {
  let world: World;
  beforeEach(() => {
    world = setUp();
  });

  it('answers at once what it has read under the lease that is still held', async () => {
    await fill(world, 'a', 'A');
    expect(world.cache.find('a')).toBe('A');
    expect(world.metrics.of('cacheHit')).toEqual([['keys']]);
    expect(world.source.asked).toHaveLength(1);
  });

  it('remembers absence apart', async () => {
    await fill(world, 'a', null);
    expect(world.cache.find('a')).toBeNull();
    expect(world.metrics.of('cacheHit')).toEqual([['unknown_keys']]);
  });

  it('reads everything without a lease, and remembers nothing of it', async () => {
    world.lease.lose();
    const first = await asked(world, 'a');
    await world.answer('A');
    expect(await first.answer).toBe('A');
    world.lease.grant();
    expect(world.cache.find('a')).toBeInstanceOf(Promise);
  });

  it('asks the lease for every look-up: a lease lost between two is noticed by the second', async () => {
    await fill(world, 'a', 'A');
    world.lease.lose();
    expect(world.cache.find('a')).toBeInstanceOf(Promise);
    world.lease.grant();
    expect(world.cache.find('a')).toBe('A');
  });

  it('never believes an absence longer than the lease it was learnt under', async () => {
    await fill(world, 'a', null);
    world.lease.lose();
    world.lease.grant();
    expect(world.cache.find('a')).toBeInstanceOf(Promise);
  });

  it('never remembers an error', async () => {
    const first = await asked(world, 'a');
    world.source.open[0]?.fail(new Failure('unavailable', 'No database.'));
    await expect(first.answer).rejects.toMatchObject({ kind: 'unavailable' });
    const second = await asked(world, 'a');
    await world.answer('A');
    expect(await second.answer).toBe('A');
  });

  it('keeps a flood of unknown keys away from what exists', async () => {
    await fill(world, 'a', 'A');
    for (const key of ['u1', 'u2', 'u3', 'u4', 'u5']) await fill(world, key, null);
    expect(world.cache.find('a')).toBe('A');
    expect(world.metrics.of('cacheEviction')).toEqual([['unknown_keys'], ['unknown_keys']]);
    expect(world.metrics.caches.get('unknown_keys')?.()).toEqual({ size: 3, max: 3 });
    expect(world.metrics.caches.get('keys')?.()).toEqual({ size: 1, max: 3 });
  });

  it('pushes out what was used longest ago', async () => {
    for (const key of ['a', 'b', 'c']) await fill(world, key, key);
    void world.cache.find('a');
    await fill(world, 'd', 'd');
    expect(world.cache.find('a')).toBe('a');
    expect(world.cache.find('b')).toBeInstanceOf(Promise);
  });

  it('forgets one key, and counts no eviction for it', async () => {
    await fill(world, 'a', 'A');
    await fill(world, 'b', 'B');
    world.cache.forget('a');
    expect(world.cache.find('a')).toBeInstanceOf(Promise);
    expect(world.cache.find('b')).toBe('B');
    expect(world.metrics.count('cacheEviction')).toBe(0);
  });

  it('forgets that a key does not exist', async () => {
    await fill(world, 'a', null);
    world.cache.forget('a');
    expect(world.cache.find('a')).toBeInstanceOf(Promise);
  });

  it('forgets everything, and does not remember what was being read then', async () => {
    await fill(world, 'a', 'A');
    await fill(world, 'n', null);
    await asked(world, 'b');
    world.cache.forgetAll();
    await world.answer('B');
    for (const key of ['a', 'n', 'b']) expect(world.cache.find(key)).toBeInstanceOf(Promise);
  });

  it('recalls under a lease only, and never reads', async () => {
    await fill(world, 'a', 'A');
    await fill(world, 'n', null);
    const recall = (lease: number) => ['a', 'n', 'b'].map((key) => world.cache.recall(key, lease));
    expect(recall(world.lease.held())).toEqual(['A', null, undefined]);
    expect(recall(NO_LEASE)).toEqual([undefined, undefined, undefined]);
    expect(world.source.open).toHaveLength(0);
  });
});

describe('one read for many requests', () => {
  it('is shared by requests that arrive before it is sent, with a lease and without', async () => {
    for (const leased of [true, false]) {
      const world = setUp();
      if (!leased) world.lease.lose();
      const answers = ['a', 'a', 'a'].map((key) => Promise.resolve(world.cache.find(key)));
      await settle();
      expect(world.source.asked).toEqual([['a']]);
      await world.answer('A');
      expect(await Promise.all(answers)).toEqual(['A', 'A', 'A']);
    }
  });

  it('is shared by a later request under the same lease', async () => {
    const world = setUp();
    const first = await asked(world, 'a');
    const late = await asked(world, 'a');
    expect(world.source.asked).toHaveLength(1);
    await world.answer('A');
    expect(await Promise.all([first.answer, late.answer])).toEqual(['A', 'A']);
  });

  it('is not shared with a later request without a lease', async () => {
    const world = setUp();
    world.lease.lose();
    const first = await asked(world, 'a');
    const late = await asked(world, 'a');
    expect(world.source.asked).toEqual([['a'], ['a']]);
    await world.answer('old');
    await world.answer('new');
    expect(await Promise.all([first.answer, late.answer])).toEqual(['old', 'new']);
  });

  it('is not shared with a request of a later lease', async () => {
    const world = setUp();
    const first = await asked(world, 'a');
    world.lease.grant();
    const late = await asked(world, 'a');
    await world.answer('old');
    expect(await first.answer).toBe('old');
    await world.answer('new');
    expect(await late.answer).toBe('new');
    expect(world.cache.find('a')).toBe('new');
  });

  it('is not shared with a request that arrives after an event tainted it', async () => {
    const world = setUp();
    const first = await asked(world, 'a');
    world.cache.forget('a');
    const late = await asked(world, 'a');
    await world.answer('old');
    await world.answer('new');
    expect(await Promise.all([first.answer, late.answer])).toEqual(['old', 'new']);
    expect(world.cache.find('a')).toBe('new');
  });

  it('fails all its requests with its failure', async () => {
    const world = setUp();
    const first = await asked(world, 'a');
    const late = await asked(world, 'a');
    world.source.open[0]?.fail(new Failure('deadline-exceeded', 'Too long.'));
    for (const { answer } of [first, late]) await expect(answer).rejects.toMatchObject({ kind: 'deadline-exceeded' });
  });

  it('does not remember what a replaced read brings, which no event can reach any more', async () => {
    const world = setUp();
    await asked(world, 'a');
    await asked(world, 'a');
    world.cache.forget('a');
    await asked(world, 'a');
    // The second request joined too late, and reads again: a third read takes the place of the second.
    await world.answer('v0');
    expect(world.source.open.length).toBe(2);
    world.cache.forget('a');
    await world.answer('old');
    await asked(world, 'a');
    expect(world.cache.recall('a', world.lease.held())).toBeUndefined();
  });

  it('lets a request that read again once share only a read that is not sent yet', async () => {
    const world = setUp();
    await asked(world, 'a');
    const late = await asked(world, 'a');
    const later = await asked(world, 'a');
    world.cache.forget('a');
    await world.answer('old');
    // Both late requests read again, together.
    expect(world.source.asked).toEqual([['a'], ['a']]);
    world.cache.forget('a');
    await world.answer('new');
    expect(await Promise.all([late.answer, later.answer])).toEqual(['new', 'new']);
  });
});

/**
 * A key is revoked: 'old' is what the database said before, 'new' what it says after. Each scenario ends with what a
 * request was answered that began after the revocation was confirmed. Only 'new' keeps the promise.
 */
const SCENARIOS: readonly {
  readonly name: string;
  readonly protection: keyof Protections;
  readonly run: (world: World) => Promise<string | null>;
}[] = [
  {
    name: 'an answer read before the event is not remembered after it',
    protection: 'taint',
    async run(world) {
      await asked(world, 'a');
      world.cache.forget('a');
      await world.answer('old');
      const after = await asked(world, 'a');
      await world.answer('new');
      return after.answer;
    },
  },
  {
    name: 'an answer read before everything was forgotten is not remembered after it',
    protection: 'taint',
    async run(world) {
      await asked(world, 'a');
      world.cache.forgetAll();
      await world.answer('old');
      const after = await asked(world, 'a');
      await world.answer('new');
      return after.answer;
    },
  },
  {
    name: 'an answer read before the event is not given to a request that came after it',
    protection: 'taint',
    async run(world) {
      await asked(world, 'a');
      world.cache.forget('a');
      const after = await asked(world, 'a');
      await world.answer('old');
      await world.answer('new');
      return after.answer;
    },
  },
  {
    name: 'an answer that was read without a lease is not remembered under the next',
    protection: 'fillGuard',
    async run(world) {
      // A new incarnation takes its first lease at the head of the history: it never applies the event that its own
      // read, sent before the lease, was too early to see.
      world.lease.lose();
      world.cache.forgetAll();
      await asked(world, 'a');
      world.lease.grant();
      await world.answer('old');
      const after = await asked(world, 'a');
      await world.answer('new');
      return after.answer;
    },
  },
  {
    name: 'an answer is not given to a request without a lease that came after the read was sent',
    protection: 'joinRule',
    async run(world) {
      world.lease.lose();
      await asked(world, 'a');
      const after = await asked(world, 'a');
      await world.answer('old');
      await world.answer('new');
      return after.answer;
    },
  },
  {
    name: 'what is remembered is not answered without a lease',
    protection: 'leaseCheck',
    async run(world) {
      await fill(world, 'a', 'old');
      world.lease.lose();
      const after = await asked(world, 'a');
      await world.answer('new');
      return after.answer;
    },
  },
];

describe('after a confirmed revocation', () => {
  it.each(SCENARIOS)('$name', async ({ run }) => {
    expect(await run(setUp())).toBe('new');
  });

  it.each(SCENARIOS)('without $protection the violation shows: $name', async ({ protection, run }) => {
    expect(await run(setUp({}, { [protection]: false }))).toBe('old');
  });

  it('a request that joined under a lease which then lapsed reads again', async () => {
    const world = setUp();
    await asked(world, 'a');
    const late = await asked(world, 'a');
    world.lease.lose();
    await world.answer('old');
    await world.answer('new');
    expect(await late.answer).toBe('new');
    expect(world.metrics.count('fillRefused')).toBe(3);
  });
});

describe('with the database out of reach', () => {
  const unavailable = new Failure('unavailable', 'No database.');

  it('gives no answer from memory without a lease', async () => {
    const world = setUp();
    await fill(world, 'a', 'A');
    world.lease.lose();
    const { answer } = await asked(world, 'a');
    world.source.open[0]?.fail(unavailable);
    await expect(answer).rejects.toBe(unavailable);
    expect(world.metrics.count('servedUnleased')).toBe(0);
  });

  it('answers from memory where the operator prefers that, and counts it', async () => {
    const world = setUp();
    await fill(world, 'a', 'A');
    world.lease.lose(true);
    const { answer } = await asked(world, 'a');
    world.source.open[0]?.fail(unavailable);
    expect(await answer).toBe('A');
    expect(world.metrics.count('servedUnleased')).toBe(1);
  });

  it.each([
    ['a key that was forgotten', 'A', true, 'unavailable'],
    ['a key that did not exist', null, false, 'unavailable'],
    ['a shed read', 'A', false, 'overloaded'],
  ] as const)('never answers so for %s', async (_what, value, forget, kind) => {
    const world = setUp();
    await fill(world, 'a', value);
    world.lease.lose(true);
    if (forget) world.cache.forget('a');
    const { answer } = await asked(world, 'a');
    world.source.open[0]?.fail(new Failure(kind, 'No.'));
    await expect(answer).rejects.toMatchObject({ kind });
  });

  it('prefers the database as long as it answers', async () => {
    const world = setUp();
    await fill(world, 'a', 'old');
    world.lease.lose(true);
    const { answer } = await asked(world, 'a');
    await world.answer('new');
    expect(await answer).toBe('new');
  });

  it.each(['new', null])('never goes back to what the database has contradicted with %s', async (value) => {
    const world = setUp();
    await fill(world, 'a', 'old');
    world.lease.lose(true);
    await fill(world, 'a', value);
    const { answer } = await asked(world, 'a');
    world.source.open[0]?.fail(unavailable);
    await expect(answer).rejects.toBe(unavailable);
  });

  it('goes back to what the database has confirmed, record by record', async () => {
    const record = { id: 'a', revoked: false };
    const world = setUp();
    await fill(world, 'a', record as never);
    world.lease.lose(true);
    await fill(world, 'a', { ...record } as never);
    const before = await asked(world, 'a');
    world.source.open[0]?.fail(unavailable);
    expect(await before.answer).toEqual(record);
    await fill(world, 'a', { ...record, revoked: true } as never);
    const after = await asked(world, 'a');
    world.source.open[0]?.fail(unavailable);
    await expect(after.answer).rejects.toBe(unavailable);
  });
});

describe('with an age limit, for what changes without an event', () => {
  it('reads again once the age has passed since the read began', async () => {
    const clock = new FakeClock();
    const world = setUp({ maxAge: { ms: 1000, clock } });
    await asked(world, 'a');
    clock.advance(400);
    await world.answer('A');
    clock.advance(599);
    expect(world.cache.find('a')).toBe('A');
    clock.advance(2);
    expect(world.cache.find('a')).toBeInstanceOf(Promise);
  });

  it('does not prolong an answer by using it', async () => {
    const clock = new FakeClock();
    const world = setUp({ maxAge: { ms: 1000, clock } });
    await fill(world, 'a', 'A');
    for (let i = 0; i < 3; i++) {
      clock.advance(300);
      expect(world.cache.find('a')).toBe('A');
    }
    clock.advance(101);
    expect(world.cache.find('a')).toBeInstanceOf(Promise);
  });

  it('neither remembers nor shares an answer that took longer than that', async () => {
    const clock = new FakeClock();
    const world = setUp({ maxAge: { ms: 1000, clock } });
    await asked(world, 'a');
    const late = await asked(world, 'a');
    clock.advance(1000);
    await world.answer('old');
    await world.answer('new');
    expect(await late.answer).toBe('new');
  });
});
