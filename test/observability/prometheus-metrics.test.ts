import { AggregatorRegistry, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { REASONS, Reason } from '../../src/domain/reason.js';
import { PrometheusMetrics } from '../../src/observability/prometheus-metrics.js';
import { SURFACES } from '../../src/ports/metrics.js';

function setUp() {
  const registry = new Registry();
  const metrics = new PrometheusMetrics(registry, { version: '1.2.3', node: 'v20.0.0' });
  const sample = async (line: string): Promise<number | null> => sampleIn(await registry.metrics(), line);
  return { registry, metrics, sample };
}

/** The value of the sample whose name and labels are exactly `line`. */
function sampleIn(text: string, line: string): number | null {
  const found = text.split('\n').find((candidate) => candidate.startsWith(`${line} `));
  return found === undefined ? null : Number(found.slice(line.length + 1));
}

describe('the metrics for Prometheus', () => {
  it('count decisions by decision, reason and surface, each series from zero', async () => {
    const { metrics, sample } = setUp();
    metrics.decision('authorize', Reason.GRANTED, 0.001);
    metrics.decision('authorize', Reason.GRANTED, 0.001);
    metrics.decision('forward_auth', Reason.KEY_REVOKED, 0.001);
    const series = (decision: string, reason: string, surface: string): string =>
      `latchkey_decisions_total{decision="${decision}",reason="${reason}",surface="${surface}"}`;
    expect(await sample(series('allow', 'GRANTED', 'authorize'))).toBe(2);
    expect(await sample(series('deny', 'KEY_REVOKED', 'forward_auth'))).toBe(1);
    expect(await sample(series('deny', 'PERMISSION_MISSING', 'stream'))).toBe(0);
  });

  it('keep their counts from scrape to scrape', async () => {
    const { metrics, registry, sample } = setUp();
    metrics.decision('batch', Reason.GRANTED, 0.001);
    metrics.cacheHit('keys');
    metrics.cacheMiss('workflows');
    metrics.undecided('batch', 'overloaded');
    await registry.metrics();
    expect(await sample('latchkey_decisions_total{decision="allow",reason="GRANTED",surface="batch"}')).toBe(1);
    expect(await sample('latchkey_cache_hits_total{cache="keys"}')).toBe(1);
    expect(await sample('latchkey_cache_misses_total{source="workflows"}')).toBe(1);
    expect(await sample('latchkey_undecided_total{surface="batch",reason="overloaded"}')).toBe(1);
  });

  it('sort durations into cumulative buckets, a bound belonging to its own', async () => {
    const { metrics, sample } = setUp();
    for (const seconds of [0.00004, 0.00005, 0.00006, 0.1, 7]) metrics.decision('authorize', Reason.GRANTED, seconds);
    const bucket = (le: string) => sample(`latchkey_decision_duration_seconds_bucket{le="${le}",surface="authorize"}`);
    expect(await Promise.all(['0.00005', '0.0001', '0.05', '0.1', '2.5', '+Inf'].map(bucket))).toEqual([
      2, 3, 3, 4, 4, 5,
    ]);
    expect(await sample('latchkey_decision_duration_seconds_count{surface="authorize"}')).toBe(5);
    expect(await sample('latchkey_decision_duration_seconds_sum{surface="authorize"}')).toBeCloseTo(7.10015);
  });

  it('read the state of lease, caches, pool, queue and watchers when they are scraped', async () => {
    const { metrics, sample } = setUp();
    expect(await sample('latchkey_lease_valid')).toBe(0);
    metrics.watchLease(() => ({ valid: true, appliedSequence: 12n, stalenessBoundSeconds: 1.5 }));
    metrics.watchCache('keys', () => ({ size: 3, max: 10 }));
    metrics.watchPool(() => ({ total: 5, idle: 2, waiting: 1 }));
    metrics.usageQueued(() => 4);
    metrics.watchers(() => 6);
    metrics.listenerConnected(true);
    metrics.leaseLength(60);
    expect(await sample('latchkey_lease_valid')).toBe(1);
    expect(await sample('latchkey_lease_seconds')).toBe(60);
    expect(await sample('latchkey_events_applied_sequence')).toBe(12);
    expect(await sample('latchkey_staleness_bound_seconds')).toBe(1.5);
    expect(await sample('latchkey_cache_size{cache="keys"}')).toBe(3);
    expect(await sample('latchkey_cache_size_max{cache="keys"}')).toBe(10);
    expect(await sample('latchkey_database_pool_connections{state="busy"}')).toBe(3);
    expect(await sample('latchkey_database_pool_waiting')).toBe(1);
    expect(await sample('latchkey_last_used_queue_size')).toBe(4);
    expect(await sample('latchkey_watchers')).toBe(6);
    expect(await sample('latchkey_listener_connected')).toBe(1);
  });

  it('count what a receipt proves', async () => {
    const { metrics, sample } = setUp();
    metrics.revocationConfirmed({
      sequence: 9n,
      committedAtMs: 0,
      confirmedInMs: 3,
      sidecars: { acknowledged: 7, expired: 1 },
      slowestAckMs: null,
    });
    expect(await sample('latchkey_revocation_confirmed_seconds_bucket{le="0.005"}')).toBe(1);
    expect(await sample('latchkey_revocation_sidecars_total{outcome="acknowledged"}')).toBe(7);
    expect(await sample('latchkey_revocation_sidecars_total{outcome="expired"}')).toBe(1);
    expect(await sample('latchkey_revocation_slowest_acknowledgement_seconds_count')).toBe(0);
  });

  it('give a client no way to grow a label', async () => {
    const { metrics, sample, registry } = setUp();
    metrics.httpRequest('BREW', '/api/keys', 405, 0.001);
    expect(await sample('latchkey_http_requests_total{method="other",route="/api/keys",status="405"}')).toBe(1);
    expect(await registry.metrics()).not.toContain('BREW');
  });

  it('never report a negative age', async () => {
    const { metrics, sample } = setUp();
    metrics.revocationApplied(-0.5);
    expect(await sample('latchkey_revocation_applied_seconds_sum')).toBe(0);
  });

  it('add up over workers, and of a state show the worst', async () => {
    const workers = [setUp(), setUp()];
    workers.forEach(({ metrics }, index) => {
      metrics.decision('authorize', Reason.GRANTED, 0.00007);
      metrics.cacheHit('keys');
      metrics.watchCache('keys', () => ({ size: 2, max: 10 }));
      metrics.listenerConnected(index === 0);
      metrics.leaseLength(3);
      metrics.watchLease(() => ({
        valid: index === 0,
        appliedSequence: BigInt(10 + index),
        stalenessBoundSeconds: index,
      }));
    });
    const parts = await Promise.all(workers.map(({ registry }) => registry.getMetricsAsJSON()));
    const text = await AggregatorRegistry.aggregate(parts).metrics();
    expect(sampleIn(text, 'latchkey_decisions_total{decision="allow",reason="GRANTED",surface="authorize"}')).toBe(2);
    expect(sampleIn(text, 'latchkey_decision_duration_seconds_bucket{le="0.0001",surface="authorize"}')).toBe(2);
    expect(sampleIn(text, 'latchkey_cache_hits_total{cache="keys"}')).toBe(2);
    expect(sampleIn(text, 'latchkey_cache_size{cache="keys"}')).toBe(4);
    expect(sampleIn(text, 'latchkey_lease_valid')).toBe(0);
    expect(sampleIn(text, 'latchkey_lease_seconds')).toBe(3);
    expect(sampleIn(text, 'latchkey_events_applied_sequence')).toBe(10);
    expect(sampleIn(text, 'latchkey_staleness_bound_seconds')).toBe(1);
    expect(sampleIn(text, 'latchkey_listener_connected')).toBe(0);
    expect(sampleIn(text, 'latchkey_build_info{version="1.2.3",node="v20.0.0"}')).toBe(1);
  });

  it('follow the conventions for names', async () => {
    const { registry } = setUp();
    for (const { name, type, help } of await registry.getMetricsAsJSON()) {
      expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
      expect([name, String(type) === 'counter']).toEqual([name, name.endsWith('_total')]);
      if (!name.startsWith('latchkey_')) continue;
      expect([name, help.endsWith('.')]).toEqual([name, true]);
    }
  });

  it('are as many series before any traffic as they can be for decisions', async () => {
    const { registry } = setUp();
    const lines = (await registry.metrics()).split('\n').filter((line) => line.startsWith('latchkey_decisions_total{'));
    expect(lines).toHaveLength(SURFACES.length * REASONS.length);
  });

  it('are all described in docs/metrics.md', async () => {
    const { metrics, registry } = setUp();
    // Those that a process adds only when it has what they tell of.
    metrics.leaseLength(3);
    metrics.watchCertificate(() => 0);
    const labels = new Map(
      (registry.getMetricsAsArray() as unknown as { name: string; labelNames: readonly string[] }[]).map((metric) => [
        metric.name,
        metric.labelNames,
      ]),
    );
    const rows = (await registry.getMetricsAsJSON())
      .filter(({ name }) => name.startsWith('latchkey_'))
      .map(({ name, type, help, aggregator }) => {
        const shown = (labels.get(name) ?? []).map((label) => `\`${label}\``).join(', ');
        return `| \`${name}\` | ${String(type)} | ${shown || 'none'} | ${String(aggregator)} | ${help} |`;
      })
      .sort();
    const page = [
      '# Metrics',
      '',
      'Served as text for Prometheus at `/metrics` on the metrics listener (`LATCHKEY_METRICS_ADDRESS`, by default',
      '`127.0.0.1:9464`). No label grows with what a client sends, and no label or value ever holds a key.',
      '',
      'With several workers one endpoint shows them together: counts are added up (`sum`), and of a state the worst',
      'worker is shown (`min` or `max`).',
      '',
      'Besides these there are the usual `process_` and `nodejs_` metrics: memory, CPU, event loop lag, open files.',
      '',
      'This page is generated; `npx vitest run test/observability -u` writes it anew.',
      '',
      '| metric | type | labels | over workers | meaning |',
      '|---|---|---|---|---|',
      ...rows,
      '',
    ].join('\n');
    await expect(page).toMatchFileSnapshot('../../docs/metrics.md');
  });
});
