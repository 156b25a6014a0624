import { AsyncLocalStorage } from 'node:async_hooks';

/** What log lines say of the call that they belong to. */
export interface ActiveSpan {
  readonly trace_id: string;
  readonly span_id: string;
}

const storage = new AsyncLocalStorage<ActiveSpan>();

/** Runs `work` with the span active in it, and in whatever it starts. */
export function withActiveSpan<T>(span: ActiveSpan, work: () => T): T {
  return storage.run(span, work);
}

/** The span that is active here, if any. */
export function activeSpan(): ActiveSpan | undefined {
  return storage.getStore();
}
