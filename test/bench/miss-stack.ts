import { Registry } from 'prom-client';
import type { KeyRecord } from '../../src/domain/key-record.js';
import type { KeyHash } from '../../src/domain/raw-key.js';
import { PrometheusMetrics } from '../../src/observability/prometheus-metrics.js';
import { systemClock } from '../../src/observability/system-clock.js';
import { systemTimers } from '../../src/observability/system-timers.js';
import type { BulkSource } from '../../src/ports/bulk-source.js';
import type { KeyStore } from '../../src/ports/key-store.js';
import { silentLogger } from '../../src/ports/logger.js';
import { BatchedReads } from '../../src/store/batched-reads.js';
import { CachedKeyStore } from '../../src/store/cached-key-store.js';
import { ObservedSource } from '../../src/store/observed-source.js';
import { createPool } from '../../src/store/postgres/pool.js';
import { PostgresKeySource } from '../../src/store/postgres/postgres-key-source.js';
import { QueryRunner } from '../../src/store/postgres/run-query.js';
import { holdLease } from './decision-fixture.js';

/** Connections, as many as the program has by default. */
const POOL = 10;

/** The program's way from a look-up to PostgreSQL, in this process. */
export interface MissStack {
  readonly pool: ReturnType<typeof createPool>;
  readonly runner: QueryRunner;
  /** Statements that looked keys up so far. */
  readonly statements: () => number;
  /** A store with nothing in memory. */
  emptyStore(maxKeys: number): KeyStore;
}

export async function createMissStack(url: string): Promise<MissStack> {
  const pool = createPool({ url, size: POOL, logger: silentLogger });
  const metrics = new PrometheusMetrics(new Registry(), { version: 'bench', node: process.version });
  const lease = await holdLease(metrics);
  const runner = new QueryRunner({ pool, clock: systemClock, timers: systemTimers, metrics, logger: silentLogger });
  const observed = new ObservedSource(new PostgresKeySource(runner, silentLogger), 'keys', metrics, systemClock);
  let statements = 0;
  const source: BulkSource<KeyHash, KeyRecord> = {
    readMany: (keys) => {
      statements++;
      return observed.readMany(keys);
    },
  };
  return {
    pool,
    runner,
    statements: () => statements,
    emptyStore: (maxKeys) =>
      new CachedKeyStore({
        reads: new BatchedReads<KeyHash, KeyRecord>({ source, name: 'keys', metrics, timers: systemTimers }),
        lease,
        metrics,
        maxKeys,
      }),
  };
}
