import { type HrTime, ValueType } from '@opentelemetry/api';
import { millisToHrTime } from '@opentelemetry/core';
import {
  AggregationTemporality,
  type DataPoint,
  DataPointType,
  type HistogramMetricData,
  type MetricData,
} from '@opentelemetry/sdk-metrics';
import type { Registry } from 'prom-client';

/** A metric as the registry tells it. */
interface Collected {
  readonly name: string;
  readonly help: string;
  readonly type: string | number;
  readonly values: readonly {
    readonly labels: Readonly<Record<string, string | number | undefined>>;
    readonly value: number;
    readonly metricName?: string;
  }[];
}

type HistogramValue = HistogramMetricData['dataPoints'][number]['value'];
type Labels = Record<string, string>;

/**
 * Every metric of a registry, as OpenTelemetry has it: the same names, labels and buckets as at `/metrics`, so that one
 * dashboard and one set of rules serve both ways. Times are ms since the Unix epoch.
 */
export async function collectMetrics(registry: Registry, startedAtMs: number, nowMs: number): Promise<MetricData[]> {
  const times = { startTime: millisToHrTime(startedAtMs), endTime: millisToHrTime(nowMs) };
  const collected = (await registry.getMetricsAsJSON()) as unknown as Collected[];
  return collected.flatMap((metric) => convert(metric, times) ?? []);
}

function convert(metric: Collected, times: { startTime: HrTime; endTime: HrTime }): MetricData | null {
  const descriptor = {
    name: metric.name,
    description: metric.help,
    unit: metric.name.replace(/_total$/, '').endsWith('_seconds') ? 's' : '',
    valueType: ValueType.DOUBLE,
  };
  const base = { descriptor, aggregationTemporality: AggregationTemporality.CUMULATIVE };
  const points = (): DataPoint<number>[] =>
    metric.values.map(({ labels, value }) => ({ ...times, attributes: attributesOf(labels), value }));
  switch (metric.type) {
    case 'counter':
      return { ...base, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints: points() };
    case 'gauge':
      return { ...base, dataPointType: DataPointType.GAUGE, dataPoints: points() };
    case 'histogram':
      return { ...base, dataPointType: DataPointType.HISTOGRAM, dataPoints: histogramPoints(metric, times) };
    default:
      // Summaries: none is kept.
      return null;
  }
}

function histogramPoints(
  { name, values }: Collected,
  times: { startTime: HrTime; endTime: HrTime },
): DataPoint<HistogramValue>[] {
  const series = new Map<
    string,
    { attributes: Labels; boundaries: number[]; cumulative: number[]; sum: number; count: number }
  >();
  for (const { labels, value, metricName } of values) {
    const { le, ...others } = labels;
    const attributes = attributesOf(others);
    const key = JSON.stringify(Object.entries(attributes).sort());
    const one = series.get(key) ?? { attributes, boundaries: [], cumulative: [], sum: 0, count: 0 };
    series.set(key, one);
    if (metricName === `${name}_sum`) one.sum = value;
    else if (metricName === `${name}_count`) one.count = value;
    else {
      if (le !== '+Inf') one.boundaries.push(Number(le));
      one.cumulative.push(value);
    }
  }
  return [...series.values()].map(({ attributes, boundaries, cumulative, sum, count }) => ({
    ...times,
    attributes,
    // Prometheus counts what is at most a boundary, OpenTelemetry what is between two.
    value: {
      buckets: { boundaries, counts: cumulative.map((at, index) => at - (cumulative[index - 1] ?? 0)) },
      sum,
      count,
    },
  }));
}

function attributesOf(labels: Readonly<Record<string, string | number | undefined>>): Labels {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, String(value)]));
}
