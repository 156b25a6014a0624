import type { Metrics } from '../../src/ports/metrics.js';

const SILENT = new Proxy({} as Metrics, { get: () => () => {} });

/** Metrics that tell when memory answers, and of nothing else. */
export function silentMetrics(onHit: () => void, onUnleased: () => void): Metrics {
  return Object.assign(Object.create(SILENT) as Metrics, { cacheHit: onHit, servedUnleased: onUnleased });
}
