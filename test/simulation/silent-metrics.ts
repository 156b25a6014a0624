import type { Metrics } from '../../src/ports/metrics.js';

/** Metrics that tell when memory answers, and of nothing else. */
export function silentMetrics(onHit: () => void, onUnleased: () => void): Metrics {
  const ignore = () => {};
  return {
    decision: ignore,
    undecided: ignore,
    cacheHit: onHit,
    cacheMiss: ignore,
    cacheEviction: ignore,
    fillRefused: ignore,
    watchCache: ignore,
    load: ignore,
    loadShed: ignore,
    watchPool: ignore,
    databaseCall: ignore,
    renewal: ignore,
    watchLease: ignore,
    revocationApplied: ignore,
    revocationConfirmed: ignore,
    revocationUnconfirmed: ignore,
    servedUnleased: onUnleased,
    listenerConnected: ignore,
    usageQueued: ignore,
    usageFlushed: ignore,
    usageDropped: ignore,
    watchers: ignore,
    watcherCutOff: ignore,
    reload: ignore,
    watchCertificate: ignore,
    httpRequest: ignore,
  };
}
