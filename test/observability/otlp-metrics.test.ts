import { DataPointType } from '@opentelemetry/sdk-metrics';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { collectMetrics } from '../../src/observability/otlp-metrics.js';
import { PrometheusMetrics } from '../../src/observability/prometheus-metrics.js';

describe('metrics for a collector', () => {
  it('have the values of the registry, and histograms the counts between boundaries', async () => {
    const registry = new Registry();
    const registers = [registry];
    new Counter({ name: 'calls_total', help: 'Calls.', labelNames: ['to'], registers }).inc({ to: 'a' }, 3);
    new Gauge({ name: 'size', help: 'Size.', registers }).set(7);
    const histogram = new Histogram({
      name: 'wait_seconds',
      help: 'Wait.',
      buckets: [1, 2],
      labelNames: ['at'],
      registers,
    });
    for (const seconds of [0.5, 1, 1.5, 3, 4]) histogram.observe({ at: 'x' }, seconds);

    const [calls, size, wait] = await collectMetrics(registry, 1_000, 2_500);
    expect(calls).toMatchObject({
      descriptor: { name: 'calls_total', description: 'Calls.' },
      dataPointType: DataPointType.SUM,
      isMonotonic: true,
      dataPoints: [{ startTime: [1, 0], endTime: [2, 500_000_000], attributes: { to: 'a' }, value: 3 }],
    });
    expect(size).toMatchObject({ dataPointType: DataPointType.GAUGE, dataPoints: [{ attributes: {}, value: 7 }] });
    expect(wait).toMatchObject({
      descriptor: { unit: 's' },
      dataPointType: DataPointType.HISTOGRAM,
      dataPoints: [
        { attributes: { at: 'x' }, value: { buckets: { boundaries: [1, 2], counts: [2, 1, 2] }, sum: 10, count: 5 } },
      ],
    });
  });

  it('are all that the program has, under the same names', async () => {
    const registry = new Registry();
    new PrometheusMetrics(registry, { version: '1', node: 'v20' });
    const names = (await registry.getMetricsAsJSON()).map(({ name }) => name);
    const collected = await collectMetrics(registry, 0, 1);
    const left = names.filter((name) => !collected.some(({ descriptor }) => descriptor.name === name));
    // A summary of Node.js would be left out; there is none among ours.
    expect(left.filter((name) => name.startsWith('latchkey_'))).toEqual([]);
    for (const metric of collected) {
      if (metric.dataPointType !== DataPointType.HISTOGRAM) continue;
      for (const { value } of metric.dataPoints) {
        expect(value.buckets.counts.length).toBe(value.buckets.boundaries.length + 1);
        expect(value.buckets.counts.reduce((sum, count) => sum + count, 0)).toBe(value.count);
      }
    }
  });
});
