import { randomUUID } from 'node:crypto';
import { setGlobalErrorHandler } from '@opentelemetry/core';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Registry } from 'prom-client';
import type { Clock, Timers } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';
import type { Tracing } from '../ports/tracing.js';
import { OpenTelemetryTracing } from './open-telemetry-tracing.js';
import { collectMetrics } from './otlp-metrics.js';

/** Where to export what to. */
export interface TelemetryOptions {
  readonly serviceName: string;
  readonly resourceAttributes: Readonly<Record<string, string>>;
  /** Sent with every export. */
  readonly headers: Readonly<Record<string, string>>;
  /** `null`: no traces. */
  readonly traces: { readonly url: string; readonly sampler: SamplerName; readonly ratio: number } | null;
  /** `null`: no metrics by this way; `/metrics` is served all the same. */
  readonly metrics: { readonly url: string; readonly intervalMs: number } | null;
}

export type SamplerName =
  | 'always_on'
  | 'always_off'
  | 'traceidratio'
  | 'parentbased_always_on'
  | 'parentbased_always_off'
  | 'parentbased_traceidratio';

/** What {@link startTelemetry} is made of. */
export interface TelemetryParts {
  readonly version: string;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
}

/** Telemetry that is being exported. */
export interface Telemetry {
  /** `null`: traces are not exported. */
  readonly tracing: Tracing | null;
  /** Exports what is left, for a few seconds at most. Never rejects. */
  stop(): Promise<void>;
}

/** Longest time, in ms, that one export may take. */
const EXPORT_TIMEOUT_MS = 5_000;
/** Spans that wait for export; more are dropped. */
const SPANS_WAITING_MAX = 4_096;
/** Warnings that exports fail come no closer together than this, ms. */
const WARN_EVERY_MS = 60_000;

/**
 * Exports traces and metrics by OTLP over HTTP, as JSON.
 *
 * Loaded only where it is configured. What cannot be exported is dropped, and said so now and then; nothing waits for it.
 */
export function startTelemetry(options: TelemetryOptions, parts: TelemetryParts): Telemetry {
  const warn = sparingly(parts);
  setGlobalErrorHandler((error) => warn(error));
  const resource = resourceFromAttributes({
    ...options.resourceAttributes,
    'service.name': options.serviceName,
    'service.version': parts.version,
    // Workers are processes of one service, each with counts of its own.
    'service.instance.id': randomUUID(),
  });
  const traces = options.traces === null ? null : startTraces(options.traces, options.headers, resource);
  const stopMetrics =
    options.metrics === null ? async () => {} : startMetrics(options.metrics, options.headers, resource, parts, warn);
  return {
    tracing: traces === null ? null : new OpenTelemetryTracing(traces.getTracer('latchkey', parts.version)),
    async stop() {
      await Promise.all([traces?.shutdown().catch(warn), stopMetrics().catch(warn)]);
    },
  };
}

function startTraces(
  { url, sampler, ratio }: NonNullable<TelemetryOptions['traces']>,
  headers: TelemetryOptions['headers'],
  resource: Resource,
): TracerProvider {
  // Said in full: what is left out, the exporter would look for in the environment.
  const exporter = new OTLPTraceExporter({ url, headers: { ...headers }, timeoutMillis: EXPORT_TIMEOUT_MS });
  const processor = new BatchSpanProcessor({
    exporter,
    maxQueueSize: SPANS_WAITING_MAX,
    maxExportBatchSize: 512,
    scheduledDelayMillis: 2_000,
    exportTimeoutMillis: EXPORT_TIMEOUT_MS,
  });
  return new TracerProvider({ resource, sampler: samplerOf(sampler, ratio), spanProcessors: [processor] });
}

function samplerOf(name: SamplerName, ratio: number): Sampler {
  const root = name.endsWith('always_on')
    ? new AlwaysOnSampler()
    : name.endsWith('always_off')
      ? new AlwaysOffSampler()
      : new TraceIdRatioBasedSampler(ratio);
  return name.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root;
}

/** Exports every metric at an interval, and once more at the end; returns how to end it. */
function startMetrics(
  { url, intervalMs }: NonNullable<TelemetryOptions['metrics']>,
  headers: TelemetryOptions['headers'],
  resource: Resource,
  { registry, clock, timers, version }: TelemetryParts,
  warn: (error: unknown) => void,
): () => Promise<void> {
  const exporter = new OTLPMetricExporter({ url, headers: { ...headers }, timeoutMillis: EXPORT_TIMEOUT_MS });
  const startedAtMs = clock.wallMs();
  let cancel = (): void => {};
  let stopped = false;
  const exportOnce = async (): Promise<void> => {
    const metrics = await collectMetrics(registry, startedAtMs, clock.wallMs());
    await new Promise<void>((resolve) => {
      exporter.export({ resource, scopeMetrics: [{ scope: { name: 'latchkey', version }, metrics }] }, ({ error }) => {
        if (error !== undefined) warn(error);
        resolve();
      });
    });
  };
  const schedule = (): void => {
    cancel = timers.after(intervalMs, () => {
      // One at a time: the next waits for the last.
      void exportOnce()
        .catch(warn)
        .finally(() => {
          if (!stopped) schedule();
        });
    });
  };
  schedule();
  return async () => {
    stopped = true;
    cancel();
    await exportOnce();
    await exporter.shutdown();
  };
}

/** Warns of failed exports, not of each one. */
function sparingly({ clock, logger }: TelemetryParts): (error: unknown) => void {
  let quietUntilMs = Number.NEGATIVE_INFINITY;
  return (error) => {
    if (clock.monotonicMs() < quietUntilMs) return;
    quietUntilMs = clock.monotonicMs() + WARN_EVERY_MS;
    logger.warn('telemetry could not be exported; what could not is dropped', { error });
  };
}
