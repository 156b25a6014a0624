import type { MetricsSnapshot } from '../app.js';

/** What the first process tells a worker. */
export type ToWorker =
  | { readonly kind: 'serve'; readonly url: string; readonly listenUrl: string }
  | { readonly kind: 'metrics'; readonly request: number }
  | { readonly kind: 'stop' };

/** What a worker tells the first process. */
export type FromWorker =
  | { readonly kind: 'hello' }
  | { readonly kind: 'ready'; readonly grpc: readonly string[] }
  | { readonly kind: 'metrics'; readonly request: number; readonly snapshot: MetricsSnapshot };
