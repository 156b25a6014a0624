import { beforeEach, describe, expect, it } from 'vitest';
import { revokerMarginMs } from '../../src/coherence/margins.js';
import { RevocationBarrier } from '../../src/coherence/revocation-barrier.js';
import type { Receipt } from '../../src/ports/barrier.js';
import type { SidecarRow } from '../../src/ports/history.js';
import { silentLogger } from '../../src/ports/logger.js';
import { ALL_PROTECTIONS } from '../../src/ports/protections.js';
import { FakeClock } from '../support/fakes/fake-clock.js';
import { FakeTimers } from '../support/fakes/fake-timers.js';
import { RecordingMetrics } from '../support/fakes/recording-metrics.js';
import { settle } from '../support/fakes/settle.js';
import { position, row, ScriptedHistory } from './history-fakes.js';

const LEASE_MS = 1_000;
const WAIT_MS = LEASE_MS + revokerMarginMs(LEASE_MS);

let clock: FakeClock;
let timers: FakeTimers;
let history: ScriptedHistory;
let metrics: RecordingMetrics;

beforeEach(() => {
  clock = new FakeClock();
  timers = new FakeTimers(clock);
  history = new ScriptedHistory();
  metrics = new RecordingMetrics();
});

function barrier(protections = ALL_PROTECTIONS): RevocationBarrier {
  return new RevocationBarrier({ history, clock, timers, metrics, logger: silentLogger, protections });
}

/** Begins to confirm and tells what has become of it. */
function confirm(protections = ALL_PROTECTIONS) {
  const state: { receipt: Receipt | null; error: unknown } = { receipt: null, error: null };
  barrier(protections)
    .confirm({ committedAtMs: 77 })
    .then(
      (receipt) => {
        state.receipt = receipt;
      },
      (error: unknown) => {
        state.error = error;
      },
    );
  return state;
}

async function answer(head: number, ...sidecars: SidecarRow[]): Promise<void> {
  history.last('readBarrier').resolve({ head: position(head), sidecars });
  await settle();
}

async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 10) {
    timers.advance(Math.min(10, left));
    await settle();
  }
}

describe('a barrier', () => {
  it('is over as soon as every sidecar has acknowledged, and says so', async () => {
    const state = confirm();
    await answer(7, row('a', 7), row('b', 6));
    expect(state.receipt).toBeNull();
    await pass(1);
    expect(history.count('readBarrier')).toBe(2);
    await answer(9, row('a', 9), row('b', 7));
    expect(state.receipt).toEqual({
      sequence: 7n,
      committedAtMs: 77,
      confirmedInMs: 1,
      sidecars: { acknowledged: 2, expired: 0 },
      slowestAckMs: 1,
    });
    expect(metrics.of('revocationConfirmed')).toEqual([[state.receipt]]);
    expect(history.count('forget')).toBe(0);
  });

  it('waits out a sidecar that does not acknowledge, from when the rows arrived, and forgets it then', async () => {
    const state = confirm();
    await pass(300);
    await answer(7, row('a', 6, LEASE_MS, 4));
    timers.advance(WAIT_MS - 1);
    await settle();
    expect(state.receipt).toBeNull();
    expect(history.count('forget')).toBe(0);
    timers.advance(1);
    await settle();
    expect(state.receipt?.sidecars).toEqual({ acknowledged: 0, expired: 1 });
    expect(history.last('forget').args).toEqual([[row('a', 6, LEASE_MS, 4)]]);
  });

  it('waits from the confirmed commit only without the protection that forbids it', async () => {
    const state = confirm({ ...ALL_PROTECTIONS, waitAfterRead: false });
    timers.advance(WAIT_MS);
    await answer(7, row('a', 6));
    expect(state.receipt?.sidecars.expired).toBe(1);
  });

  it('does not need the database any more once the wait is over', async () => {
    const state = confirm();
    await answer(7, row('a', 6));
    await pass(5);
    timers.advance(WAIT_MS);
    await settle();
    expect(state.receipt?.sidecars.expired).toBe(1);
  });

  it('leaves no timer behind, however long it waits, and looks less often then', async () => {
    const hourMs = 3_600_000;
    confirm();
    await answer(7, row('a', 6, hourMs));
    let looks = 0;
    for (let passed = 0; passed < 600_000; passed += 50) {
      timers.advance(50);
      await settle();
      if (history.count('readBarrier') > looks + 1) {
        looks = history.count('readBarrier') - 1;
        await answer(7, row('a', 6, hourMs));
      }
    }
    expect(timers.pending).toBeLessThanOrEqual(2);
    expect(looks).toBeLessThan(1_500);
  });

  it('has forgotten whom it waited out once it is closed', async () => {
    const closing = barrier();
    const receipt = closing.confirm({ committedAtMs: 77 });
    await answer(7, row('a', 6));
    timers.advance(WAIT_MS);
    await receipt;
    await settle();
    let closed = false;
    const done = closing.close().then(() => {
      closed = true;
    });
    await settle();
    expect(closed).toBe(false);
    history.last('forget').resolve(undefined);
    await done;
  });

  it('goes on when a look at the rows fails', async () => {
    const state = confirm();
    await answer(7, row('a', 6));
    await pass(1);
    history.last('readBarrier').reject();
    await settle();
    await pass(1);
    await answer(7, row('a', 7));
    expect(state.receipt?.sidecars.acknowledged).toBe(1);
  });

  it('asks again when the first look fails, and waits from the one that works', async () => {
    const state = confirm();
    history.last('readBarrier').reject();
    await settle();
    await pass(50);
    expect(history.count('readBarrier')).toBe(2);
    await answer(7);
    expect(state.receipt?.confirmedInMs).toBe(50);
  });

  it('says that the change is unconfirmed when nobody can say who must be waited for', async () => {
    const state = confirm();
    for (let i = 0; i < 200 && state.error === null; i++) {
      history.last('readBarrier').reject();
      await settle();
      await pass(50);
    }
    expect(state.error).toMatchObject({ kind: 'unconfirmed' });
    expect(metrics.count('revocationUnconfirmed')).toBe(1);
    expect(metrics.count('revocationConfirmed')).toBe(0);
  });

  it('is confirmed although forgetting fails', async () => {
    const state = confirm();
    await answer(7, row('a', 6));
    timers.advance(WAIT_MS);
    await settle();
    history.last('forget').reject();
    await settle();
    expect(state.receipt).not.toBeNull();
  });

  it('shares its looks with barriers beside it, none of whom is given one that was sent before it began', async () => {
    const shared = barrier();
    const first = shared.confirm({ committedAtMs: 1 });
    const second = shared.confirm({ committedAtMs: 2 });
    const third = shared.confirm({ committedAtMs: 3 });
    expect(history.count('readBarrier')).toBe(1);
    await answer(7);
    expect((await first).sequence).toBe(7n);
    expect(history.count('readBarrier')).toBe(2);
    await answer(9);
    expect((await second).sequence).toBe(9n);
    expect((await third).sequence).toBe(9n);
  });
});

describe('settling', () => {
  it('is proven when every sidecar has acknowledged in time', async () => {
    const settled = barrier().settle(250);
    await answer(7, row('a', 7));
    expect(await settled).toBe(true);
  });

  it('gives up silently after the time it was given', async () => {
    const settled = barrier().settle(250);
    await answer(7, row('a', 6));
    await pass(250);
    expect(await settled).toBe(false);
  });

  it('gives up in time although the reading hangs', async () => {
    const settled = barrier().settle(250);
    await pass(250);
    expect(await settled).toBe(false);
  });

  it('never rejects', async () => {
    const settled = barrier().settle(250);
    for (let i = 0; i < 10; i++) {
      history.last('readBarrier').reject();
      await settle();
      await pass(50);
    }
    expect(await settled).toBe(false);
  });
});
