import type { FailureKind } from '../domain/failure.js';
import type { Reason } from '../domain/reason.js';
import type { Receipt } from './barrier.js';

/** Where a decision was asked for. A closed set: nothing that a client sends becomes a label. */
export const SURFACES = ['authorize', 'batch', 'stream', 'ext_authz', 'forward_auth'] as const;
export type Surface = (typeof SURFACES)[number];

/** The caches that are measured: keys that exist, hashes that do not, owners of workflows, workflows that do not exist. */
export const CACHES = ['keys', 'unknown_keys', 'workflows', 'unknown_workflows'] as const;
export type CacheName = (typeof CACHES)[number];

/** What is read from the database on a miss. */
export type SourceName = 'keys' | 'workflows';

export type RenewalOutcome = 'renewed' | 'failed' | 'start_over';

/** Files that are followed while the process runs. */
export const RELOADED_FILES = ['tls', 'routes'] as const;
export type ReloadedFiles = (typeof RELOADED_FILES)[number];
export type ReloadOutcome = 'reloaded' | 'refused';

/** How many entries a cache holds and may hold; read at scrape time. */
export interface CacheGauge {
  readonly size: number;
  readonly max: number;
}

/** State of the connection pool; read at scrape time. */
export interface PoolGauge {
  readonly total: number;
  readonly idle: number;
  readonly waiting: number;
}

/** State of the lease; read at scrape time. */
export interface LeaseGauge {
  readonly valid: boolean;
  readonly appliedSequence: bigint;
  /** Age in seconds of the oldest answer that could be given now: 0 without a lease, for the database answers then. */
  readonly stalenessBoundSeconds: number;
}

/**
 * What the rest of the code reports. Methods on the hot path (`decision`, `cacheHit`) allocate nothing.
 *
 * Every implementation accepts any order of calls and never throws.
 */
export interface Metrics {
  /** A decision was given. @param seconds from the request's arrival to the answer */
  decision(surface: Surface, reason: Reason, seconds: number): void;
  /** No decision could be given. */
  undecided(surface: Surface, kind: FailureKind): void;

  cacheHit(cache: CacheName): void;
  /** Neither cache of the source knew, or there was no lease. */
  cacheMiss(source: SourceName): void;
  cacheEviction(cache: CacheName): void;
  /** An answer was not stored, or not shared, because of taint or a lapsed lease. */
  fillRefused(source: SourceName): void;
  watchCache(cache: CacheName, gauge: () => CacheGauge): void;

  /** One statement that read `keys` keys. */
  load(source: SourceName, keys: number, seconds: number, outcome: 'ok' | FailureKind): void;
  loadShed(source: SourceName): void;
  watchPool(gauge: () => PoolGauge): void;
  /** Any other statement. @param operation a constant from the code, e.g. `create_key` */
  databaseCall(operation: string, seconds: number, outcome: 'ok' | FailureKind): void;

  renewal(outcome: RenewalOutcome): void;
  watchLease(gauge: () => LeaseGauge): void;
  /** From commit to applied here, in seconds, by the database's clock. */
  revocationApplied(seconds: number): void;
  /** A barrier ended well. */
  revocationConfirmed(receipt: Receipt): void;
  /** A barrier could not be completed. */
  revocationUnconfirmed(): void;
  /** A decision was served from memory without a lease, because `LATCHKEY_ON_DATABASE_LOSS` says so. */
  servedUnleased(): void;
  listenerConnected(connected: boolean): void;

  usageQueued(gauge: () => number): void;
  usageFlushed(rows: number, seconds: number, outcome: 'ok' | FailureKind): void;
  usageDropped(count: number): void;

  watchers(gauge: () => number): void;
  watcherCutOff(): void;
  /** Files that changed under a running process were taken over, or refused because they cannot be used. */
  reload(what: ReloadedFiles, outcome: ReloadOutcome): void;
  /** End of the validity of the certificate that is served, ms since the Unix epoch; read at scrape time. */
  watchCertificate(expiresAtMs: () => number): void;

  /** A request on the HTTP adapter. @param route the route's template, never the path */
  httpRequest(method: string, route: string, status: number, seconds: number): void;
}
