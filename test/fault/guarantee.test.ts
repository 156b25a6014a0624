import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Protections } from '../../src/ports/protections.js';
import { PostgresServer } from '../support/postgres-server.js';
import {
  EVENTS_DELETED,
  FAULTS,
  type Fault,
  NO_LEASE_AND_SLOW_LOOKUPS,
  SLOW_COHERENCE,
  SLOW_LOOKUPS,
} from './faults.js';
import { guaranteeRun } from './guarantee-run.js';

/** Longest search for the harm that a missing protection does, s. It is found in a fraction of it. */
const SEARCH_SECONDS = 90;
const LEASE_MS = 1000;

const byName = (...parts: readonly string[]): readonly Fault[] =>
  FAULTS.filter((fault) => parts.some((part) => fault.name.includes(part)));

describe('sidecar processes under faults', () => {
  it('never allow a key whose revocation was confirmed, through crashes, partitions and a failover', async () => {
    const primary = await PostgresServer.create({ max_connections: '200' });
    const standby = await primary.createStandby({ max_connections: '200' });
    await primary.set('synchronous_standby_names', '*');
    try {
      const { history, failedOver, faults } = await guaranteeRun(primary, standby, {
        seconds: 60,
        sidecars: 3,
        leaseMs: LEASE_MS,
        seed: 1,
        protections: {},
        failoverAt: 0.6,
      });
      console.log(JSON.stringify({ ...history.tally, faults }));
      expect(history.violations).toEqual([]);
      expect(history.tally.unknownAfterCreation).toBe(0);
      expect(failedOver).toBe(true);
      // A run that asked little, or whose sidecars denied everything, would prove nothing.
      expect(history.tally.asked).toBeGreaterThan(3000);
      expect(history.tally.denied).toBeGreaterThan(history.tally.asked / 2);
      expect(history.tally.liveGranted).toBeGreaterThan(history.tally.live / 4);
    } finally {
      await standby.destroy();
      await primary.destroy();
    }
  }, 240_000);
});

describe('the harness notices when a protection is missing:', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.create({ max_connections: '200' });
  }, 60_000);
  afterAll(() => server?.destroy());

  const cases: readonly {
    readonly without: keyof Protections;
    readonly faults: readonly Fault[];
    readonly coldShare?: number;
  }[] = [
    { without: 'leaseCheck', faults: byName('SIGSTOP', 'half-open', 'partition') },
    { without: 'waitOut', faults: byName('LISTEN connection half-open', 'partition') },
    { without: 'taint', faults: [SLOW_LOOKUPS], coldShare: 0.9 },
    { without: 'joinRule', faults: [NO_LEASE_AND_SLOW_LOOKUPS], coldShare: 0.9 },
    { without: 'acknowledgementOrder', faults: [SLOW_COHERENCE] },
    { without: 'gapRead', faults: [EVENTS_DELETED] },
  ];
  it.each(cases)(
    '$without',
    async ({ without, faults, coldShare }) => {
      const { history } = await guaranteeRun(server, null, {
        seconds: SEARCH_SECONDS,
        sidecars: 2,
        leaseMs: LEASE_MS,
        seed: 7,
        protections: { [without]: false },
        faults,
        ...(coldShare === undefined ? {} : { coldShare }),
        stopAtViolation: true,
      });
      console.log(`without ${without}:`, JSON.stringify({ ...history.tally, violation: history.violations[0] }));
      expect(history.violations).not.toEqual([]);
    },
    200_000,
  );
});
