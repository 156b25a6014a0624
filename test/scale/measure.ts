import { setTimeout as sleep } from 'node:timers/promises';
import { RevocationBarrier } from '../../src/coherence/revocation-barrier.js';
import { hashRawKey, keyHashToBytes, mintRawKey } from '../../src/domain/raw-key.js';
import { systemClock } from '../../src/observability/system-clock.js';
import { systemTimers } from '../../src/observability/system-timers.js';
import { silentLogger } from '../../src/ports/logger.js';
import { KeyService } from '../../src/service/keys.js';
import { createPool } from '../../src/store/postgres/pool.js';
import { PostgresHistory } from '../../src/store/postgres/postgres-history.js';
import { PostgresKeyRegistry } from '../../src/store/postgres/postgres-key-registry.js';
import { QueryRunner } from '../../src/store/postgres/run-query.js';
import { percentile } from '../bench/statistics.js';
import { silentMetrics } from '../simulation/silent-metrics.js';
import type { PostgresServer } from '../support/postgres-server.js';
import { cpuTimeOf } from './cpu-time.js';
import { Fleet } from './fleet.js';

/** One fleet to measure. */
export interface FleetToMeasure {
  readonly sidecars: number;
  readonly leaseMs: number;
  /** Share of the time that each process of the fleet spends deciding. */
  readonly load: number;
  readonly revocations: number;
  /** Length of the stretch without revocations in which renewals are counted, s. */
  readonly calmS: number;
}

/** What was measured. */
export interface FleetMeasured extends FleetToMeasure {
  readonly renewalsPerS: number;
  /** CPU of all of PostgreSQL's processes, in cores, while nothing but renewals happened. */
  readonly calmCores: number;
  /** CPU of PostgreSQL in ms for each revocation, renewals taken off. */
  readonly cpuMsPerRevocation: number;
  readonly decisionsPerS: number;
  /** Sidecars whose lease was waited out, over all revocations. */
  readonly waitedOut: number;
  /** From the call to its end, the commit included, ms. */
  readonly totalMs: readonly number[];
  /** From the confirmed commit to the proof, ms. */
  readonly barrierMs: readonly number[];
  /** A commit of one row of a plain table on a connection of the same server, ms, in turns with the revocations. */
  readonly bareCommitMs: readonly number[];
}

const ACCOUNT = 'scale';
const LIVE_KEYS = 1_000;
const PROCESSES = 2;
/** Pause between two revocations: each is measured alone. */
const PAUSE_MS = 15;

async function insertKeys(server: PostgresServer, count: number): Promise<{ id: string; rawKey: string }[]> {
  const rawKeys = Array.from({ length: count }, mintRawKey);
  const rows = await server.query<{ id: string }>(
    `INSERT INTO latchkey.api_keys (account_id, name, key_hash, key_prefix, permissions)
       SELECT $1, 'scale', hash, 'nk_live_0000', '{read}' FROM unnest($2::bytea[]) AS hash RETURNING id`,
    [ACCOUNT, rawKeys.map((rawKey) => keyHashToBytes(hashRawKey(rawKey)))],
  );
  return rows.map(({ id }, index) => ({ id, rawKey: rawKeys[index] ?? '' }));
}

/** Measures one fleet on a migrated server. */
export async function measureFleet(server: PostgresServer, plan: FleetToMeasure): Promise<FleetMeasured> {
  const pid = server.pid ?? -1;
  const live = await insertKeys(server, LIVE_KEYS);
  const doomed = await insertKeys(server, plan.revocations);
  const pool = createPool({ url: server.url, size: 6, logger: silentLogger, applicationName: 'revoker' });
  const metrics = silentMetrics(
    () => {},
    () => {},
  );
  const runner = new QueryRunner({ pool, clock: systemClock, timers: systemTimers, metrics, logger: silentLogger });
  const barrier = new RevocationBarrier({
    history: new PostgresHistory(runner, silentLogger),
    clock: systemClock,
    timers: systemTimers,
    metrics,
    logger: silentLogger,
  });
  const keys = new KeyService({
    registry: new PostgresKeyRegistry(runner),
    barrier,
    logger: silentLogger,
    mintRawKey,
    maxActiveKeys: 1_000_000,
  });
  const fleet = await Fleet.start(
    {
      url: server.url,
      sidecars: plan.sidecars,
      leaseMs: plan.leaseMs,
      load: plan.load,
      rawKeys: live.map(({ rawKey }) => rawKey),
    },
    PROCESSES,
  );
  try {
    await sleep(plan.leaseMs);
    const calm = await stretch(fleet, pid, () => sleep(plan.calmS * 1_000));
    const totalMs: number[] = [];
    const barrierMs: number[] = [];
    const bareCommitMs: number[] = [];
    let waitedOut = 0;
    const busy = await stretch(fleet, pid, async () => {
      for (const [index, { id }] of doomed.entries()) {
        const committingAtMs = performance.now();
        await pool.query('UPDATE public.bare SET at = now() WHERE id = $1', [index % 1_000]);
        const startedAtMs = performance.now();
        bareCommitMs.push(startedAtMs - committingAtMs);
        const { receipt } = await keys.revoke(id, ACCOUNT, { name: 'scale', origin: null });
        totalMs.push(performance.now() - startedAtMs);
        barrierMs.push(receipt.confirmedInMs);
        waitedOut += receipt.sidecars.expired;
        if (receipt.sidecars.acknowledged + receipt.sidecars.expired < plan.sidecars) {
          throw new Error('the barrier did not know all sidecars');
        }
        await sleep(PAUSE_MS);
      }
    });
    const ofRenewals = calm.cpuS / calm.seconds;
    return {
      ...plan,
      renewalsPerS: calm.renewed / calm.seconds,
      calmCores: ofRenewals,
      cpuMsPerRevocation: ((busy.cpuS - ofRenewals * busy.seconds) * 1_000) / doomed.length,
      decisionsPerS: calm.decisions / calm.seconds,
      waitedOut,
      totalMs,
      barrierMs,
      bareCommitMs,
    };
  } finally {
    await fleet.stop();
    await pool.end();
  }
}

async function stretch(fleet: Fleet, pid: number, work: () => Promise<unknown>) {
  const before = await fleet.report();
  const cpuBefore = await cpuTimeOf(pid);
  const startedAtMs = performance.now();
  await work();
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const cpuS = (await cpuTimeOf(pid)) - cpuBefore;
  const after = await fleet.report();
  return {
    seconds,
    cpuS,
    renewed: after.renewed - before.renewed,
    decisions: after.decisions - before.decisions,
  };
}

/** The figures of a fleet without every single time. */
export function summaryOf({ totalMs, barrierMs, bareCommitMs, ...rest }: FleetMeasured) {
  const of = (values: readonly number[]) => ({
    p50: percentile(values, 0.5),
    p90: percentile(values, 0.9),
    p99: percentile(values, 0.99),
    max: Math.max(...values),
  });
  return { ...rest, totalMs: of(totalMs), barrierMs: of(barrierMs), bareCommitMs: of(bareCommitMs) };
}
