import type { CacheGauge, CacheName, LeaseGauge, Metrics, PoolGauge } from '../../../src/ports/metrics.js';

/** One call of a {@link RecordingMetrics}: the method and its arguments. */
export type MetricCall = readonly [method: keyof Metrics, ...args: readonly unknown[]];

/** Writes down every call. */
export class RecordingMetrics implements Metrics {
  readonly calls: MetricCall[] = [];
  readonly caches = new Map<CacheName, () => CacheGauge>();
  lease: (() => LeaseGauge) | null = null;
  pool: (() => PoolGauge) | null = null;
  queuedUses: (() => number) | null = null;

  /** The arguments of every call of one method, in order. */
  of(method: keyof Metrics): readonly (readonly unknown[])[] {
    return this.calls.filter(([name]) => name === method).map(([, ...args]) => args);
  }

  count(method: keyof Metrics): number {
    return this.of(method).length;
  }

  readonly decision: Metrics['decision'] = (...args) => this.note('decision', args);
  readonly undecided: Metrics['undecided'] = (...args) => this.note('undecided', args);
  readonly cacheHit: Metrics['cacheHit'] = (...args) => this.note('cacheHit', args);
  readonly cacheMiss: Metrics['cacheMiss'] = (...args) => this.note('cacheMiss', args);
  readonly cacheEviction: Metrics['cacheEviction'] = (...args) => this.note('cacheEviction', args);
  readonly fillRefused: Metrics['fillRefused'] = (...args) => this.note('fillRefused', args);
  readonly load: Metrics['load'] = (...args) => this.note('load', args);
  readonly loadShed: Metrics['loadShed'] = (...args) => this.note('loadShed', args);
  readonly databaseCall: Metrics['databaseCall'] = (...args) => this.note('databaseCall', args);
  readonly renewal: Metrics['renewal'] = (...args) => this.note('renewal', args);
  readonly revocationApplied: Metrics['revocationApplied'] = (...args) => this.note('revocationApplied', args);
  readonly revocationConfirmed: Metrics['revocationConfirmed'] = (...args) => this.note('revocationConfirmed', args);
  readonly revocationUnconfirmed: Metrics['revocationUnconfirmed'] = () => this.note('revocationUnconfirmed', []);
  readonly servedUnleased: Metrics['servedUnleased'] = () => this.note('servedUnleased', []);
  readonly listenerConnected: Metrics['listenerConnected'] = (...args) => this.note('listenerConnected', args);
  readonly usageFlushed: Metrics['usageFlushed'] = (...args) => this.note('usageFlushed', args);
  readonly usageDropped: Metrics['usageDropped'] = (...args) => this.note('usageDropped', args);
  readonly watchers: Metrics['watchers'] = () => {};
  readonly watcherCutOff: Metrics['watcherCutOff'] = () => this.note('watcherCutOff', []);
  readonly reload: Metrics['reload'] = (...args) => this.note('reload', args);
  readonly watchCertificate: Metrics['watchCertificate'] = () => {};
  readonly httpRequest: Metrics['httpRequest'] = (...args) => this.note('httpRequest', args);

  readonly watchCache: Metrics['watchCache'] = (cache, gauge) => void this.caches.set(cache, gauge);
  readonly watchPool: Metrics['watchPool'] = (gauge) => {
    this.pool = gauge;
  };
  readonly watchLease: Metrics['watchLease'] = (gauge) => {
    this.lease = gauge;
  };
  readonly usageQueued: Metrics['usageQueued'] = (gauge) => {
    this.queuedUses = gauge;
  };

  private note(method: keyof Metrics, args: readonly unknown[]): void {
    this.calls.push([method, ...args]);
  }
}
