import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CLOCK_JUMP_TOLERANCE_MS, revokerMarginMs, sidecarMarginMs } from '../../src/coherence/margins.js';

const rate = fc.double({ min: 0.95, max: 1.05, noNaN: true });
const length = fc.integer({ min: 100, max: 600_000 });

/** True time for which a lease can be used: on a clock of this rate, tolerated sleep and step included. */
const longestUse = (leaseMs: number, sidecarRate: number) =>
  (leaseMs - sidecarMarginMs(leaseMs) + CLOCK_JUMP_TOLERANCE_MS) / sidecarRate;

describe('the margins', () => {
  it('let no lease outlive a wait that began with it, on clocks that run within 5 % of true time', () => {
    fc.assert(
      fc.property(length, rate, rate, (leaseMs, sidecarRate, revokerRate) => {
        const wait = (leaseMs + revokerMarginMs(leaseMs)) / revokerRate;
        expect(longestUse(leaseMs, sidecarRate)).toBeLessThan(wait);
      }),
    );
  });

  it('let no lease outlive its nominal length in true time', () => {
    fc.assert(
      fc.property(length, rate, (leaseMs, sidecarRate) => {
        expect(longestUse(leaseMs, sidecarRate)).toBeLessThan(leaseMs);
      }),
    );
  });

  it('together are at least 5 % of the lease, plus the error of timers', () => {
    fc.assert(
      fc.property(length, (leaseMs) => {
        expect(sidecarMarginMs(leaseMs) + revokerMarginMs(leaseMs)).toBeGreaterThanOrEqual(0.05 * leaseMs + 20);
      }),
    );
  });

  it('are needed: at the extreme rates a lease without them outlives the wait', () => {
    expect(1_000 / 0.95).toBeGreaterThan(1_000 / 1.05);
  });
});
