/** Values that describe a call. Never a key, nor anything made from one, nor what a client may choose without bound. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** A call that is being answered. */
export interface ServerSpan {
  /** Runs `work` so that log lines written in it, and in what it starts, name this span. */
  run<T>(work: () => T): T;
  /** Ends it, once. @param failed whether the server is to blame: a refusal is an answer, not a failure */
  end(attributes: SpanAttributes, failed: boolean): void;
}

/** Records which calls were answered, as parts of traces that their callers began. */
export interface Tracing {
  /**
   * Begins the span of a call that has just arrived.
   *
   * @param name of low cardinality: a method or a route's template
   * @param header reads a header of the call, where `traceparent` says which trace it belongs to (W3C Trace Context)
   */
  serverSpan(name: string, header: (name: string) => string | undefined, attributes: SpanAttributes): ServerSpan;
}
