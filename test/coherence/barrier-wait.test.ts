import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BarrierWait } from '../../src/coherence/barrier-wait.js';
import { revokerMarginMs } from '../../src/coherence/margins.js';
import type { SidecarRow } from '../../src/ports/history.js';
import { ALL_PROTECTIONS } from '../../src/ports/protections.js';
import { position, row } from './history-fakes.js';

const ARRIVED_MS = 10_000;
const HEAD = 7;

const seen = (...sidecars: SidecarRow[]) => ({ head: position(HEAD), sidecars });
const barrier = (...sidecars: SidecarRow[]) => new BarrierWait(seen(...sidecars), ARRIVED_MS);

describe('a barrier', () => {
  it('is over at once when there is no sidecar, or all have applied the head', () => {
    expect(barrier().over(ARRIVED_MS)).toBe(true);
    const wait = barrier(row('a', HEAD), row('b', HEAD + 2));
    expect(wait.over(ARRIVED_MS)).toBe(true);
    expect(wait.outcome).toEqual({ acknowledged: 2, expired: 0, lastAckAtMs: ARRIVED_MS });
  });

  it('waits for each sidecar that has not applied the head', () => {
    const wait = barrier(row('a', HEAD), row('b', HEAD - 1), row('c', -1));
    expect(wait.over(ARRIVED_MS + 1)).toBe(false);
    wait.observe(seen(row('a', HEAD), row('b', HEAD), row('c', -1)), ARRIVED_MS + 2);
    expect(wait.over(ARRIVED_MS + 2)).toBe(false);
    wait.observe(seen(row('a', HEAD), row('b', HEAD), row('c', HEAD)), ARRIVED_MS + 3);
    expect(wait.over(ARRIVED_MS + 3)).toBe(true);
    expect(wait.outcome).toEqual({ acknowledged: 3, expired: 0, lastAckAtMs: ARRIVED_MS + 3 });
  });

  it('goes by the head of its first reading, whatever is committed later', () => {
    const wait = barrier(row('a', HEAD - 1));
    wait.observe({ head: position(HEAD + 9), sidecars: [row('a', HEAD)] }, ARRIVED_MS + 1);
    expect(wait.over(ARRIVED_MS + 1)).toBe(true);
    expect(wait.target).toBe(BigInt(HEAD));
  });

  it('does not wait for rows that appear later', () => {
    const wait = barrier(row('a', HEAD - 1));
    wait.observe(seen(row('a', HEAD), row('new', -1)), ARRIVED_MS + 1);
    expect(wait.over(ARRIVED_MS + 1)).toBe(true);
  });

  it('counts a row that is gone as expired', () => {
    const wait = barrier(row('a', HEAD - 1));
    wait.observe(seen(), ARRIVED_MS + 1);
    expect(wait.over(ARRIVED_MS + 1)).toBe(true);
    expect(wait.outcome).toEqual({ acknowledged: 0, expired: 1, lastAckAtMs: null });
  });

  it('does not take an acknowledgement back', () => {
    const wait = barrier(row('a', HEAD - 1), row('b', HEAD - 1));
    wait.observe(seen(row('a', HEAD), row('b', HEAD - 1)), ARRIVED_MS + 1);
    wait.observe(seen(row('a', HEAD - 1), row('b', HEAD)), ARRIVED_MS + 2);
    expect(wait.over(ARRIVED_MS + 2)).toBe(true);
  });

  it('waits out the lease of each sidecar that says nothing, plus margin, from the arrival of its reading', () => {
    const wait = barrier(row('short', -1, 500), row('long', -1, 2_000));
    const shortMs = ARRIVED_MS + 500 + revokerMarginMs(500);
    const longMs = ARRIVED_MS + 2_000 + revokerMarginMs(2_000);
    expect(wait.deadlineMs).toBe(longMs);
    expect(wait.waitedOut(shortMs - 0.001)).toEqual([]);
    expect(wait.waitedOut(longMs - 0.001).map(({ id }) => id)).toEqual(['short']);
    expect(wait.over(longMs - 0.001)).toBe(false);
    expect(wait.over(longMs)).toBe(true);
    expect(wait.waitedOut(longMs).map(({ id }) => id)).toEqual(['short', 'long']);
    expect(wait.outcome.expired).toBe(2);
  });

  it('does not wait longer for a short lease because a sidecar that has acknowledged holds a long one', () => {
    const wait = barrier(row('dead', -1, 500), row('long', -1, 3_600_000));
    wait.observe(seen(row('dead', -1, 500), row('long', HEAD, 3_600_000)), ARRIVED_MS + 3);
    const shortMs = ARRIVED_MS + 500 + revokerMarginMs(500);
    expect(wait.over(shortMs - 0.001)).toBe(false);
    expect(wait.over(shortMs)).toBe(true);
  });

  it('forgets what it waited out by the renewals of its first reading', () => {
    const wait = barrier(row('a', -1, 1_000, 4));
    wait.observe(seen(row('a', -1, 1_000, 5)), ARRIVED_MS + 1);
    expect(wait.waitedOut(wait.deadlineMs)).toEqual([row('a', -1, 1_000, 4)]);
  });

  it.each([0, -50, -1e12])('is not shortened by a stranger whose lease is %d ms', (leaseMs) => {
    const wait = barrier(row('stranger', -1, leaseMs), row('a', -1, 1_000));
    expect(wait.deadlineMs).toBe(ARRIVED_MS + 1_000 + revokerMarginMs(1_000));
    expect(barrier(row('stranger', -1, leaseMs)).deadlineMs).toBeGreaterThanOrEqual(ARRIVED_MS);
  });

  it('is never over while a sidecar that has not applied the head could hold a lease', () => {
    const applied = fc.array(fc.integer({ min: HEAD - 2, max: HEAD + 1 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(applied, { minLength: 1, maxLength: 5 }), fc.nat(1_200), (readings, elapsedMs) => {
        const rowsOf = (sequences: number[]) => sequences.map((sequence, index) => row(`s${index}`, sequence));
        const [first, ...later] = readings as [number[], ...number[][]];
        const wait = barrier(...rowsOf(first));
        for (const sequences of later) wait.observe(seen(...rowsOf(sequences)), ARRIVED_MS + elapsedMs);
        const unproven = first.some((_, index) =>
          readings.every((sequences) => index < sequences.length && (sequences[index] as number) < HEAD),
        );
        if (unproven && elapsedMs < 1_000 + revokerMarginMs(1_000))
          expect(wait.over(ARRIVED_MS + elapsedMs)).toBe(false);
        if (!unproven) expect(wait.over(ARRIVED_MS + elapsedMs)).toBe(true);
      }),
    );
  });

  it('does not wait without the protection that makes it wait', () => {
    const wait = new BarrierWait(seen(row('a', -1)), ARRIVED_MS, { ...ALL_PROTECTIONS, waitOut: false });
    expect(wait.over(ARRIVED_MS)).toBe(true);
  });
});
