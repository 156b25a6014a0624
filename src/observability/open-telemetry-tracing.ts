import { type Context, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, type Tracer } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import type { ServerSpan, SpanAttributes, Tracing } from '../ports/tracing.js';
import { withActiveSpan } from './active-span.js';

/** The headers of W3C Trace Context. Baggage is left alone: it may hold anything. */
const HEADERS = ['traceparent', 'tracestate'] as const;

/** {@link Tracing} by a tracer of OpenTelemetry. */
export class OpenTelemetryTracing implements Tracing {
  private readonly propagator = new W3CTraceContextPropagator();

  constructor(private readonly tracer: Tracer) {}

  serverSpan(name: string, header: (name: string) => string | undefined, attributes: SpanAttributes): ServerSpan {
    const options = { kind: SpanKind.SERVER, attributes };
    return new OpenTelemetrySpan(this.tracer.startSpan(name, options, this.parentOf(header)));
  }

  private parentOf(header: (name: string) => string | undefined): Context {
    return this.propagator.extract(ROOT_CONTEXT, header, {
      keys: () => [...HEADERS],
      get: (read, name) => read(name),
    });
  }
}

class OpenTelemetrySpan implements ServerSpan {
  constructor(private readonly span: Span) {}

  run<T>(work: () => T): T {
    const { traceId, spanId } = this.span.spanContext();
    return withActiveSpan({ trace_id: traceId, span_id: spanId }, work);
  }

  end(attributes: SpanAttributes, failed: boolean): void {
    this.span.setAttributes(attributes);
    if (failed) this.span.setStatus({ code: SpanStatusCode.ERROR });
    this.span.end();
  }
}
