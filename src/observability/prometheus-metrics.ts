import { Counter, collectDefaultMetrics, Gauge, Histogram, type Metric, type Registry } from 'prom-client';
import type { FailureKind } from '../domain/failure.js';
import { REASONS, Reason, reasonName } from '../domain/reason.js';
import type { Receipt } from '../ports/barrier.js';
import {
  CACHES,
  type CacheGauge,
  type CacheName,
  type LeaseGauge,
  type Metrics,
  type PoolGauge,
  type ReloadedFiles,
  type ReloadOutcome,
  type RenewalOutcome,
  type SourceName,
  SURFACES,
  type Surface,
} from '../ports/metrics.js';
import { FixedHistogram } from './fixed-histogram.js';

/** What `latchkey_build_info` says. */
export interface BuildInfo {
  readonly version: string;
  /** `process.version`. */
  readonly node: string;
}

/** Buckets, in seconds, of what is answered from memory or by one look-up. */
const DECISION_BUCKETS = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5,
] as const;
/** Buckets, in seconds, of statements and requests. */
const CALL_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5] as const;
/** Buckets, in seconds, of revocations: a prompt one takes milliseconds, one that waits out a lease seconds. */
const REVOCATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 10, 30] as const;
const BATCH_BUCKETS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] as const;

/** Every kind of failure, by a number of its own; complete by its type. */
const FAILURE_INDEX: Readonly<Record<FailureKind, number>> = {
  unavailable: 0,
  overloaded: 1,
  'invalid-argument': 2,
  'deadline-exceeded': 3,
  unconfirmed: 4,
  'not-found': 5,
  conflict: 6,
  'limit-reached': 7,
  forbidden: 8,
  'history-pruned': 9,
  'slow-reader': 10,
};
const FAILURE_KINDS = Object.keys(FAILURE_INDEX) as FailureKind[];
/** Failures that a decision can meet are shown from the start, at zero; any other only once it was counted. */
const UNDECIDED_KINDS: readonly FailureKind[] = ['unavailable', 'overloaded', 'invalid-argument', 'deadline-exceeded'];
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];
const HTTP_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

const SURFACE_INDEX = indexOf(SURFACES);
const CACHE_INDEX = indexOf(CACHES);
const SOURCES: readonly SourceName[] = ['keys', 'workflows'];
const SOURCE_INDEX = indexOf(SOURCES);
const RENEWAL_OUTCOMES: readonly RenewalOutcome[] = ['renewed', 'failed', 'start_over'];
const REASON_SLOTS = Math.max(...REASONS) + 1;

function indexOf<T extends string>(values: readonly T[]): Readonly<Record<T, number>> {
  return Object.fromEntries(values.map((value, index) => [value, index])) as Record<T, number>;
}

/**
 * Keeps {@link Metrics} for Prometheus, in a registry of the caller's choice. `docs/metrics.md` lists every metric.
 *
 * What happens on every decision only adds to typed arrays; everything else is built when Prometheus asks. Each metric
 * says how it is aggregated over workers: counts are added up, and of a state the worst is shown.
 */
export class PrometheusMetrics implements Metrics {
  private readonly decisions = new Float64Array(SURFACES.length * REASON_SLOTS);
  private readonly undecidedCounts = new Float64Array(SURFACES.length * FAILURE_KINDS.length);
  private readonly hits = new Float64Array(CACHES.length);
  private readonly misses = new Float64Array(SOURCES.length);
  private readonly durations: FixedHistogram;
  private readonly counters: ReturnType<typeof createMetrics>;
  private readonly caches = new Map<CacheName, () => CacheGauge>();
  private pool: (() => PoolGauge) | null = null;
  private lease: (() => LeaseGauge) | null = null;
  private queued: (() => number) | null = null;
  private watching: (() => number) | null = null;

  constructor(
    private readonly registry: Registry,
    build: BuildInfo,
  ) {
    this.durations = new FixedHistogram(
      'latchkey_decision_duration_seconds',
      'Time from the arrival of a request in the service to its decision, by surface. Decisions from memory take microseconds, and one in 16 is timed for all of them; a database look-up adds its round trip.',
      'surface',
      SURFACES,
      DECISION_BUCKETS,
    );
    // The registry asks a metric for its name and `get` only; its type names prom-client's own classes.
    registry.registerMetric(this.durations as unknown as Metric);
    this.counters = createMetrics(registry);
    this.addCollected(registry);
    new Gauge({
      name: 'latchkey_build_info',
      help: 'Always 1; the labels say which version of latchkey runs on which version of Node.js.',
      labelNames: ['version', 'node'] as const,
      aggregator: 'first',
      registers: [registry],
    }).set({ version: build.version, node: build.node }, 1);
    collectDefaultMetrics({ register: registry });
    // Gauges with a counter's name: `promtool check metrics` refuses them. The same by type stays.
    for (const name of MISNAMED) registry.removeSingleMetric(name);
  }

  decision(surface: Surface, reason: Reason, seconds: number): void {
    const index = SURFACE_INDEX[surface];
    const at = index * REASON_SLOTS + reason;
    this.decisions[at] = (this.decisions[at] as number) + 1;
    this.durations.observe(index, seconds);
  }

  undecided(surface: Surface, kind: FailureKind): void {
    const at = SURFACE_INDEX[surface] * FAILURE_KINDS.length + FAILURE_INDEX[kind];
    this.undecidedCounts[at] = (this.undecidedCounts[at] as number) + 1;
  }

  cacheHit(cache: CacheName): void {
    const at = CACHE_INDEX[cache];
    this.hits[at] = (this.hits[at] as number) + 1;
  }

  cacheMiss(source: SourceName): void {
    const at = SOURCE_INDEX[source];
    this.misses[at] = (this.misses[at] as number) + 1;
  }

  cacheEviction(cache: CacheName): void {
    this.counters.evictions.inc({ cache });
  }

  fillRefused(source: SourceName): void {
    this.counters.fillsRefused.inc({ source });
  }

  watchCache(cache: CacheName, gauge: () => CacheGauge): void {
    this.caches.set(cache, gauge);
  }

  load(source: SourceName, keys: number, seconds: number, outcome: 'ok' | FailureKind): void {
    this.counters.loadKeys.observe({ source }, keys);
    this.counters.loadDuration.observe({ source, outcome }, seconds);
  }

  loadShed(source: SourceName): void {
    this.counters.loadsShed.inc({ source });
  }

  watchPool(gauge: () => PoolGauge): void {
    this.pool = gauge;
  }

  databaseCall(operation: string, seconds: number, outcome: 'ok' | FailureKind): void {
    this.counters.databaseDuration.observe({ operation, outcome }, seconds);
  }

  renewal(outcome: RenewalOutcome): void {
    this.counters.renewals.inc({ outcome });
  }

  watchLease(gauge: () => LeaseGauge): void {
    this.lease = gauge;
  }

  /** What `LATCHKEY_LEASE_MS` says, for alerts to compare with; said once, by a process that holds leases. */
  leaseLength(seconds: number): void {
    new Gauge({
      name: 'latchkey_lease_seconds',
      help: 'How long a lease is, in seconds; set by LATCHKEY_LEASE_MS.',
      aggregator: 'max',
      registers: [this.registry],
    }).set(seconds);
  }

  revocationApplied(seconds: number): void {
    // Two clocks of one database may step between two readings; a negative age means "at once".
    this.counters.revocationApplied.observe(Math.max(0, seconds));
  }

  revocationConfirmed(receipt: Receipt): void {
    this.counters.revocationConfirmed.observe(receipt.confirmedInMs / 1000);
    if (receipt.slowestAckMs !== null) this.counters.slowestAck.observe(receipt.slowestAckMs / 1000);
    this.counters.barrierSidecars.inc({ outcome: 'acknowledged' }, receipt.sidecars.acknowledged);
    this.counters.barrierSidecars.inc({ outcome: 'expired' }, receipt.sidecars.expired);
  }

  revocationUnconfirmed(): void {
    this.counters.unconfirmed.inc();
  }

  servedUnleased(): void {
    this.counters.servedUnleased.inc();
  }

  listenerConnected(connected: boolean): void {
    this.counters.listenerConnected.set(connected ? 1 : 0);
  }

  usageQueued(gauge: () => number): void {
    this.queued = gauge;
  }

  usageFlushed(rows: number, seconds: number, outcome: 'ok' | FailureKind): void {
    if (outcome === 'ok') this.counters.usageRows.inc(rows);
    this.counters.usageDuration.observe({ outcome }, seconds);
  }

  usageDropped(count: number): void {
    this.counters.usageDropped.inc(count);
  }

  watchers(gauge: () => number): void {
    this.watching = gauge;
  }

  watcherCutOff(): void {
    this.counters.watchersCutOff.inc();
  }

  reload(what: ReloadedFiles, outcome: ReloadOutcome): void {
    const reloads = what === 'tls' ? this.counters.tlsReloads : this.counters.routesReloads;
    reloads.inc({ outcome });
  }

  watchCertificate(expiresAtMs: () => number): void {
    addReading(this.registry, {
      name: 'latchkey_tls_certificate_expiry_timestamp_seconds',
      help: 'When the certificate that is served ends to be valid, in seconds since 1970. Absent without TLS. New files are taken over without a restart.',
      aggregator: 'min',
      read: () => expiresAtMs() / 1000,
    });
  }

  httpRequest(method: string, route: string, status: number, seconds: number): void {
    // A client chooses the method; only the usual ones become labels.
    const known = HTTP_METHODS.has(method) ? method : 'other';
    this.counters.httpRequests.inc({ method: known, route, status });
    this.counters.httpDuration.observe({ method: known, route }, seconds);
  }

  /** Metrics whose values are read when Prometheus asks. */
  private addCollected(registry: Registry): void {
    const { decisions, undecidedCounts, hits, misses, caches } = this;
    new Counter({
      name: 'latchkey_decisions_total',
      help: 'Decisions given, by decision (allow or deny), reason and surface. A rise of KEY_UNKNOWN or KEY_MALFORMED is somebody guessing; of METHOD_UNKNOWN, a catalogue older than its clients.',
      labelNames: ['decision', 'reason', 'surface'] as const,
      registers: [registry],
      collect() {
        this.reset();
        for (const surface of SURFACES) {
          for (const reason of REASONS) {
            const decision = reason === Reason.GRANTED ? 'allow' : 'deny';
            const count = decisions[SURFACE_INDEX[surface] * REASON_SLOTS + reason] as number;
            this.inc({ decision, reason: reasonName(reason), surface }, count);
          }
        }
      },
    });
    new Counter({
      name: 'latchkey_cache_hits_total',
      help: 'Look-ups answered from memory, by cache. The unknown_ caches remember what does not exist.',
      labelNames: ['cache'] as const,
      registers: [registry],
      collect() {
        this.reset();
        for (const cache of CACHES) this.inc({ cache }, hits[CACHE_INDEX[cache]] as number);
      },
    });
    new Counter({
      name: 'latchkey_undecided_total',
      help: 'Requests for which no decision could be made, by surface and reason; the caller got an error and must refuse. unavailable: no lease and no database; overloaded: shed.',
      labelNames: ['surface', 'reason'] as const,
      registers: [registry],
      collect() {
        this.reset();
        for (const surface of SURFACES) {
          for (const reason of FAILURE_KINDS) {
            const count = undecidedCounts[
              SURFACE_INDEX[surface] * FAILURE_KINDS.length + FAILURE_INDEX[reason]
            ] as number;
            if (count > 0 || UNDECIDED_KINDS.includes(reason)) this.inc({ surface, reason }, count);
          }
        }
      },
    });
    new Counter({
      name: 'latchkey_cache_misses_total',
      help: 'Look-ups that needed the database, by source: the caches did not know, or there was no lease.',
      labelNames: ['source'] as const,
      registers: [registry],
      collect() {
        this.reset();
        for (const source of SOURCES) this.inc({ source }, misses[SOURCE_INDEX[source]] as number);
      },
    });
    const addCacheGauge = (name: string, help: string, read: (gauge: CacheGauge) => number): void => {
      new Gauge({
        name,
        help,
        labelNames: ['cache'] as const,
        registers: [registry],
        collect() {
          for (const [cache, gauge] of caches) this.set({ cache }, read(gauge()));
        },
      });
    };
    addCacheGauge(
      'latchkey_cache_size',
      'Entries in memory, by cache. A cache that stays at its maximum and evicts is too small for its traffic.',
      (gauge) => gauge.size,
    );
    addCacheGauge(
      'latchkey_cache_size_max',
      'Most entries that a cache may hold, by cache; set by LATCHKEY_CACHE_MAX_KEYS.',
      (gauge) => gauge.max,
    );

    const poolOf = (): PoolGauge => this.pool?.() ?? { total: 0, idle: 0, waiting: 0 };
    new Gauge({
      name: 'latchkey_database_pool_connections',
      help: 'Connections of the pool, by state (busy or idle).',
      labelNames: ['state'] as const,
      registers: [registry],
      collect() {
        const { total, idle } = poolOf();
        this.set({ state: 'busy' }, total - idle);
        this.set({ state: 'idle' }, idle);
      },
    });
    addReading(registry, {
      name: 'latchkey_database_pool_waiting',
      help: 'Statements that wait for a connection of the pool. Above zero for long: the pool or the database is too small.',
      aggregator: 'sum',
      read: () => poolOf().waiting,
    });

    const leaseOf = (): LeaseGauge => this.lease?.() ?? { valid: false, appliedSequence: 0n, stalenessBoundSeconds: 0 };
    addReading(registry, {
      name: 'latchkey_lease_valid',
      help: '1 while this sidecar may answer from memory; 0: every decision reads the database. Over several workers, 0 as soon as one has no lease.',
      aggregator: 'min',
      read: () => (leaseOf().valid ? 1 : 0),
    });
    addReading(registry, {
      name: 'latchkey_events_applied_sequence',
      help: 'Number of the newest committed change that this sidecar has applied; of the worker furthest behind. Sidecars that differ for long are a sign of trouble.',
      aggregator: 'min',
      read: () => Number(leaseOf().appliedSequence),
    });
    addReading(registry, {
      name: 'latchkey_staleness_bound_seconds',
      help: 'How old the oldest answer that could be given now may be. Rises to a third of a lease between renewals; more than a lease only where LATCHKEY_ON_DATABASE_LOSS has memory answer without one. 0 while only the database may answer.',
      aggregator: 'max',
      read: () => leaseOf().stalenessBoundSeconds,
    });
    addReading(registry, {
      name: 'latchkey_last_used_queue_size',
      help: 'Keys whose last use waits to be written.',
      aggregator: 'sum',
      read: () => this.queued?.() ?? 0,
    });
    addReading(registry, {
      name: 'latchkey_watchers',
      help: 'Clients that follow revocations with WatchRevocations now.',
      aggregator: 'sum',
      read: () => this.watching?.() ?? 0,
    });
  }
}

interface Reading {
  readonly name: string;
  readonly help: string;
  readonly aggregator: 'sum' | 'min' | 'max';
  readonly read: () => number;
}

function addReading(registry: Registry, { name, help, aggregator, read }: Reading): void {
  new Gauge({
    name,
    help,
    aggregator,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}

function createMetrics(registry: Registry) {
  const registers = [registry];
  const metrics = {
    evictions: new Counter({
      name: 'latchkey_cache_evictions_total',
      help: 'Entries pushed out because a cache was full, by cache. Steady evictions from keys mean that LATCHKEY_CACHE_MAX_KEYS is too small.',
      labelNames: ['cache'] as const,
      registers,
    }),
    fillsRefused: new Counter({
      name: 'latchkey_cache_fills_refused_total',
      help: 'Answers of the database that were not remembered, or not shared, by source: a change arrived while they were read, or no lease was held. Ordinary in small numbers.',
      labelNames: ['source'] as const,
      registers,
    }),
    loadKeys: new Histogram({
      name: 'latchkey_load_keys',
      help: 'Keys that one look-up statement asked for, by source. Larger under load: misses share statements.',
      labelNames: ['source'] as const,
      buckets: [...BATCH_BUCKETS],
      registers,
    }),
    loadDuration: new Histogram({
      name: 'latchkey_load_duration_seconds',
      help: 'Time of one look-up statement, by source and outcome.',
      labelNames: ['source', 'outcome'] as const,
      buckets: [...CALL_BUCKETS],
      registers,
    }),
    loadsShed: new Counter({
      name: 'latchkey_loads_shed_total',
      help: 'Look-ups refused because too many were waiting, by source; their callers got RESOURCE_EXHAUSTED. Hits are never shed.',
      labelNames: ['source'] as const,
      registers,
    }),
    databaseDuration: new Histogram({
      name: 'latchkey_database_call_duration_seconds',
      help: 'Time of every other database call, by operation and outcome.',
      labelNames: ['operation', 'outcome'] as const,
      buckets: [...CALL_BUCKETS],
      registers,
    }),
    renewals: new Counter({
      name: 'latchkey_lease_renewals_total',
      help: 'Attempts to renew the lease, by outcome. failed in a row: the database is out of reach; start_over: the history changed or the row was forgotten, and the caches were emptied.',
      labelNames: ['outcome'] as const,
      registers,
    }),
    revocationApplied: new Histogram({
      name: 'latchkey_revocation_applied_seconds',
      help: 'Time from the commit of a revocation to its application in this sidecar, by the clock of the database.',
      buckets: [...REVOCATION_BUCKETS],
      registers,
    }),
    revocationConfirmed: new Histogram({
      name: 'latchkey_revocation_confirmed_seconds',
      help: 'Time from the confirmed commit of a revocation to the proof that no sidecar accepts the key. About a lease: some sidecar did not answer and was waited out.',
      buckets: [...REVOCATION_BUCKETS],
      registers,
    }),
    slowestAck: new Histogram({
      name: 'latchkey_revocation_slowest_acknowledgement_seconds',
      help: 'Time from the confirmed commit of a revocation to the last acknowledgement of a sidecar.',
      buckets: [...REVOCATION_BUCKETS],
      registers,
    }),
    barrierSidecars: new Counter({
      name: 'latchkey_revocation_sidecars_total',
      help: 'Sidecars that confirmed revocations were proven on, by outcome: acknowledged, or expired when the lease was waited out. A rise of expired points at sidecars that hang or die.',
      labelNames: ['outcome'] as const,
      registers,
    }),
    unconfirmed: new Counter({
      name: 'latchkey_revocations_unconfirmed_total',
      help: 'Revocations that were committed but could not be proven in time; their callers were told to repeat.',
      registers,
    }),
    servedUnleased: new Counter({
      name: 'latchkey_served_unleased_total',
      help: 'Decisions given from memory without a lease, because LATCHKEY_ON_DATABASE_LOSS allows it. Above zero: availability was bought with the guarantee.',
      registers,
    }),
    listenerConnected: new Gauge({
      name: 'latchkey_listener_connected',
      help: '1 while the LISTEN connection is proven alive. 0: changes are noticed by lease renewal only, later but not less surely.',
      aggregator: 'min',
      registers,
    }),
    usageRows: new Counter({
      name: 'latchkey_last_used_rows_written_total',
      help: 'Rows of last use written.',
      registers,
    }),
    usageDuration: new Histogram({
      name: 'latchkey_last_used_flush_duration_seconds',
      help: 'Time of one statement that writes last uses, by outcome.',
      labelNames: ['outcome'] as const,
      buckets: [...CALL_BUCKETS],
      registers,
    }),
    usageDropped: new Counter({
      name: 'latchkey_last_used_dropped_total',
      help: 'Last uses given up because too many waited: the database did not take them. No decision depends on them.',
      registers,
    }),
    watchersCutOff: new Counter({
      name: 'latchkey_watchers_cut_off_total',
      help: 'Watchers of revocations that were cut off because they did not read; they resume from their last sequence.',
      registers,
    }),
    routesReloads: new Counter({
      name: 'latchkey_routes_reloads_total',
      help: 'Changes of the routes file, by outcome. refused: it cannot be used, and the routes before it stay in force.',
      labelNames: ['outcome'] as const,
      registers,
    }),
    tlsReloads: new Counter({
      name: 'latchkey_tls_reloads_total',
      help: 'Changed certificate files, by outcome. refused: they cannot be used, and the last good ones stay in force until they expire.',
      labelNames: ['outcome'] as const,
      registers,
    }),
    httpRequests: new Counter({
      name: 'latchkey_http_requests_total',
      help: 'Requests on the HTTP listener, by method, route template and status.',
      labelNames: ['method', 'route', 'status'] as const,
      registers,
    }),
    httpDuration: new Histogram({
      name: 'latchkey_http_request_duration_seconds',
      help: 'Time of requests on the HTTP listener, by method and route template.',
      labelNames: ['method', 'route'] as const,
      buckets: [...CALL_BUCKETS],
      registers,
    }),
  };
  // At zero from the start: a rate over a series that appears with its first event misses that event.
  for (const source of SOURCES) {
    metrics.fillsRefused.inc({ source }, 0);
    metrics.loadsShed.inc({ source }, 0);
  }
  for (const cache of CACHES) metrics.evictions.inc({ cache }, 0);
  for (const outcome of RENEWAL_OUTCOMES) metrics.renewals.inc({ outcome }, 0);
  for (const outcome of ['reloaded', 'refused']) {
    metrics.tlsReloads.inc({ outcome }, 0);
    metrics.routesReloads.inc({ outcome }, 0);
  }
  for (const outcome of ['acknowledged', 'expired']) metrics.barrierSidecars.inc({ outcome }, 0);
  return metrics;
}
