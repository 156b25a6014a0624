// Many sidecars in one process: of each the cache, the lease, its renewals, its LISTEN connection and the decisions, as
// src/app.ts wires them, without listeners. Started with an IPC channel; argv[2] is JSON: FleetChildOptions.
import { randomUUID } from 'node:crypto';
import { Invalidation } from '../../src/coherence/invalidation.js';
import { LeaseDriver } from '../../src/coherence/lease-driver.js';
import { defaultCatalogue } from '../../src/domain/default-catalogue.js';
import { systemClock } from '../../src/observability/system-clock.js';
import { systemTimers } from '../../src/observability/system-timers.js';
import { silentLogger } from '../../src/ports/logger.js';
import { ALL_PROTECTIONS } from '../../src/ports/protections.js';
import { createAuthorizer } from '../../src/service/authorize.js';
import { BatchedReads } from '../../src/store/batched-reads.js';
import { CachedKeyStore } from '../../src/store/cached-key-store.js';
import { createPool } from '../../src/store/postgres/pool.js';
import { PostgresChangeFeed } from '../../src/store/postgres/postgres-change-feed.js';
import { PostgresHistory } from '../../src/store/postgres/postgres-history.js';
import { PostgresKeySource } from '../../src/store/postgres/postgres-key-source.js';
import { QueryRunner } from '../../src/store/postgres/run-query.js';
import { silentMetrics } from '../simulation/silent-metrics.js';

/** What a child is told. */
export interface FleetChildOptions {
  readonly url: string;
  readonly sidecars: number;
  readonly leaseMs: number;
  /** Share of the time that the process spends deciding; 0: idle. */
  readonly load: number;
  /** Keys that are decided on. */
  readonly rawKeys: readonly string[];
}

/** What a child answers to `report`. */
export interface FleetChildReport {
  readonly renewed: number;
  readonly decisions: number;
}

/** Length of one burst of decisions, ms: what one turn of a busy event loop takes. */
const BURST_MS = 1;
const BURST_CALLS = 50;
const COHERENCE_CONNECTIONS = 3;

const options = JSON.parse(process.argv[2] ?? '{}') as FleetChildOptions;
let renewed = 0;
let decisions = 0;

const metrics = Object.assign(
  silentMetrics(
    () => {},
    () => {},
  ),
  {
    renewal: (outcome: string) => {
      if (outcome === 'renewed') renewed++;
    },
  },
);
const logger = silentLogger;
const runnerOn = (applicationName: string, size: number) =>
  new QueryRunner({
    pool: createPool({ url: options.url, size, logger, applicationName }),
    clock: systemClock,
    timers: systemTimers,
    metrics,
    logger,
  });
// Look-ups of all sidecars of the process share a few connections: only the coherence protocol is measured.
const lookups = runnerOn('latchkey', 4);

function startSidecar() {
  const controls: ConstructorParameters<typeof Invalidation>[0][number][] = [];
  const lease = new LeaseDriver({
    options: {
      leaseMs: options.leaseMs,
      lossMs: 0,
      nextId: randomUUID,
      random: Math.random,
      readLimit: 50_000,
      protections: ALL_PROTECTIONS,
    },
    history: new PostgresHistory(runnerOn('latchkey-coherence', COHERENCE_CONNECTIONS), logger),
    caches: new Invalidation(controls),
    clock: systemClock,
    timers: systemTimers,
    metrics,
    logger,
  });
  const reads = new BatchedReads({
    source: new PostgresKeySource(lookups, logger),
    name: 'keys',
    metrics,
    timers: systemTimers,
  });
  const keys = new CachedKeyStore({ reads, lease, metrics, maxKeys: 100_000 }, ALL_PROTECTIONS);
  controls.push(keys);
  const feed = new PostgresChangeFeed({ url: options.url, clock: systemClock, timers: systemTimers, logger, metrics });
  lease.start();
  feed.start(() => lease.hint());
  const authorizer = createAuthorizer({
    keys,
    workflows: { ownerOf: () => null },
    lease,
    catalogue: defaultCatalogue(),
    clock: systemClock,
    metrics,
    usage: { record() {} },
    enforceOwnership: false,
    requiredTags: null,
  });
  return { lease, feed, authorizer };
}

const sidecars = Array.from({ length: options.sidecars }, startSidecar);
await Promise.all(sidecars.map(({ lease }) => lease.leased));

function burst(): void {
  const startedAtMs = performance.now();
  let next = decisions;
  do {
    const { authorizer } = sidecars[next % sidecars.length] as (typeof sidecars)[number];
    for (let count = 0; count < BURST_CALLS; count++) {
      const rawKey = options.rawKeys[(next + count) % options.rawKeys.length] as string;
      void authorizer.authorize('authorize', rawKey, 'w', 'nodes.list');
    }
    next += BURST_CALLS;
  } while (performance.now() - startedAtMs < BURST_MS);
  decisions = next;
  const busyMs = performance.now() - startedAtMs;
  const idleMs = busyMs * (1 / options.load - 1);
  setTimeout(burst, idleMs);
}
if (options.load > 0) {
  // Into every cache first: what follows is answered from memory.
  for (const { authorizer } of sidecars) {
    await Promise.all(options.rawKeys.map((rawKey) => authorizer.authorize('authorize', rawKey, 'w', 'nodes.list')));
  }
  burst();
}

process.on('disconnect', () => process.exit(0));
process.on('message', (message) => {
  if (message === 'report') process.send?.({ renewed, decisions } satisfies FleetChildReport);
  // Leases are given up, so that the next fleet does not wait for them.
  if (message === 'stop') {
    void Promise.all(sidecars.flatMap(({ lease, feed }) => [lease.stop(), feed.stop()])).then(() => process.exit(0));
  }
});
process.send?.('ready');
