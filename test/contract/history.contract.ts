import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { Failure } from '../../src/domain/failure.js';
import type { Position } from '../../src/domain/history-event.js';
import type { History, Renewal } from '../../src/ports/history.js';

/** A history without sidecars. */
export interface HistoryFixture {
  readonly history: History;
  /** Commits one change that leaves one event. */
  change(): Promise<void>;
}

/** What every `History` promises. */
export function historyContract(name: string, make: () => Promise<HistoryFixture>): void {
  describe(`${name} as a history`, () => {
    let fixture: HistoryFixture;
    let history: History;
    let sidecarId: string;
    beforeEach(async () => {
      fixture = await make();
      history = fixture.history;
      sidecarId = randomUUID();
    });

    const renewal = (attempt: number, position: Position | null = null, leaseMs = 3_000): Renewal => ({
      sidecarId,
      attempt,
      leaseMs,
      position,
    });
    const head = async () => (await history.readHistory(null, 10)).head;
    const row = async () => (await history.readBarrier()).sidecars.find(({ id }) => id === sidecarId);
    const stranger = (position: Position): Position => ({ ...position, token: randomUUID() });

    describe('rows of sidecars', () => {
      it('appear with the lease and nothing applied', async () => {
        await history.register(renewal(1));
        expect(await row()).toEqual({ id: sidecarId, renewals: 1, leaseMs: 3_000, appliedSequence: -1n });
      });

      it('appear once only', async () => {
        await history.register(renewal(1));
        await expect(history.register(renewal(2))).rejects.toBeInstanceOf(Failure);
      });

      it('are renewed by later attempts only', async () => {
        await history.register(renewal(1));
        expect(await history.renew(renewal(3, null, 5_000))).toBe(true);
        expect(await history.renew(renewal(3))).toBe(false);
        expect(await history.renew(renewal(2))).toBe(false);
        expect(await row()).toMatchObject({ renewals: 3, leaseMs: 5_000 });
      });

      it('cannot be renewed when they are gone', async () => {
        expect(await history.renew(renewal(1))).toBe(false);
        await history.register(renewal(1));
        await history.deregister(sidecarId);
        expect(await history.renew(renewal(2))).toBe(false);
        await expect(history.deregister(sidecarId)).resolves.toBeUndefined();
      });

      it('are forgotten only as long as they have not moved', async () => {
        await history.register(renewal(1));
        const seen = await row();
        await history.renew(renewal(2));
        await history.forget(seen === undefined ? [] : [seen]);
        expect(await row()).toBeDefined();
        await history.forget([{ id: sidecarId, renewals: 2 }]);
        expect(await row()).toBeUndefined();
        await expect(history.forget([])).resolves.toBeUndefined();
      });
    });

    describe('positions', () => {
      it('are taken with a registration, a renewal and an acknowledgement, if this history has them', async () => {
        const first = await head();
        await history.register(renewal(1, first));
        expect((await row())?.appliedSequence).toBe(first.sequence);
        await fixture.change();
        const second = await head();
        await history.renew(renewal(2, second));
        expect((await row())?.appliedSequence).toBe(second.sequence);
        await fixture.change();
        const third = await head();
        expect(await history.acknowledge(sidecarId, third)).toBe(true);
        expect((await row())?.appliedSequence).toBe(third.sequence);
      });

      it('never move back', async () => {
        const first = await head();
        await fixture.change();
        const second = await head();
        await history.register(renewal(1, second));
        expect(await history.acknowledge(sidecarId, first)).toBe(true);
        expect(await history.renew(renewal(2, first))).toBe(true);
        expect((await row())?.appliedSequence).toBe(second.sequence);
      });

      it('of another history are refused, and a renewal goes on without them', async () => {
        const place = await head();
        await history.register(renewal(1, stranger(place)));
        expect((await row())?.appliedSequence).toBe(-1n);
        expect(await history.renew(renewal(2, stranger(place)))).toBe(true);
        expect(await history.acknowledge(sidecarId, stranger(place))).toBe(false);
        expect(await history.acknowledge(sidecarId, { ...place, sequence: place.sequence + 1n })).toBe(false);
        expect(await row()).toMatchObject({ renewals: 2, appliedSequence: -1n });
      });

      it('cannot be acknowledged by a sidecar whose row is gone', async () => {
        expect(await history.acknowledge(sidecarId, await head())).toBe(false);
      });
    });

    describe('a reading', () => {
      it('without a position gives the head and no events', async () => {
        await fixture.change();
        const reading = await history.readHistory(null, 10);
        expect(reading).toMatchObject({ events: [], overLimit: false, tokenAtPosition: null });
        expect(reading.databaseNowMs).toBeGreaterThan(0);
      });

      it('at the head gives its token and no events', async () => {
        const place = await head();
        expect(await history.readHistory(place, 10)).toMatchObject({
          head: place,
          tokenAtPosition: place.token,
          events: [],
          overLimit: false,
        });
      });

      it('gives exactly the events after the position, in order and without a gap', async () => {
        const from = await head();
        for (let count = 0; count < 3; count++) await fixture.change();
        const { head: to, events, tokenAtPosition } = await history.readHistory(from, 3);
        expect(tokenAtPosition).toBe(from.token);
        expect(events.map(({ sequence }) => sequence)).toEqual([1n, 2n, 3n].map((step) => from.sequence + step));
        expect(events.at(-1)).toMatchObject({ sequence: to.sequence, token: to.token, kind: 'key-created' });
        expect(events.every(({ keyHash }) => keyHash?.length === 32)).toBe(true);
      });

      it('says that there are more than the limit instead of giving some', async () => {
        const from = await head();
        for (let count = 0; count < 3; count++) await fixture.change();
        expect(await history.readHistory(from, 2)).toMatchObject({ events: [], overLimit: true });
      });

      it('knows no token at a position that this history does not have', async () => {
        const { sequence, token } = await head();
        const ahead = await history.readHistory({ sequence: sequence + 5n, token }, 10);
        expect(ahead).toMatchObject({ tokenAtPosition: null, events: [], overLimit: false });
      });
    });

    it('gives a barrier the head and all rows at one instant', async () => {
      await history.register(renewal(1, await head()));
      const reading = await history.readBarrier();
      expect(reading.head).toEqual(await head());
      expect(reading.sidecars.map(({ id }) => id)).toEqual([sidecarId]);
    });
  });
}
