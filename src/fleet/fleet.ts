import cluster, { type Worker } from 'node:cluster';
import { type App, type AppAddresses, type AppParts, createApp, type MetricsSnapshot } from '../app.js';
import type { Config } from '../config.js';
import { systemClock } from '../observability/system-clock.js';
import { systemTimers } from '../observability/system-timers.js';
import type { CancelTimer } from '../ports/clock.js';
import { clearSocketFiles } from '../transport/stale-socket.js';
import type { FromWorker, ToWorker } from './messages.js';

/** How long a worker may take to be ready, ms. */
const START_PATIENCE_MS = 30_000;
/** How long a scrape waits for a worker, ms; one that does not answer is left out of that scrape. */
const SNAPSHOT_PATIENCE_MS = 1_000;
/** First pause before a dead worker is replaced, ms; doubles while they die young, up to the last. */
const REPLACE_MS = 100;
const REPLACE_MAX_MS = 10_000;
/** A worker that lived this long, ms, did not die of its start. */
const GREW_UP_MS = 60_000;

/**
 * The sidecar as several processes: this one has the database, REST, forward auth, the admin listener and the metrics;
 * `config.workers` children share the gRPC listeners.
 *
 * - Each worker is a sidecar of its own to the coherence protocol: it makes its id after the fork and has its own lease
 *   and caches. A revocation waits for all of them.
 * - Connections, not calls, are spread over the workers: a client with one HTTP/2 connection uses one worker.
 * - A worker that dies is replaced. Its lease is waited out by the first revocation after its death.
 * - `/metrics` shows all processes as one, and `/readyz` answers 200 while at least one worker serves.
 */
export function createFleet(config: Config, parts: AppParts): App {
  const fleet = new Fleet(config, parts);
  return {
    start: () => fleet.start(),
    stop: () => fleet.stop(),
    metricsSnapshot: () => fleet.app.metricsSnapshot(),
    forceStop: () => fleet.forceStop(),
  };
}

class Fleet {
  readonly app: App;
  private readonly workers = new Set<Worker>();
  /** Those of them that serve. */
  private readonly ready = new Set<Worker>();
  private markServing: (serving: boolean) => void = () => {};
  private databaseUrls: { readonly url: string; readonly listenUrl: string } | null = null;
  private grpc: readonly string[] = [];
  private stopping = false;
  private earlyDeaths = 0;
  private nextRequest = 0;
  private readonly cancels = new Set<CancelTimer>();

  constructor(
    private readonly config: Config,
    private readonly parts: AppParts,
  ) {
    this.app = createApp(
      { ...config, grpcAddresses: [], workers: 1 },
      {
        ...parts,
        otherMetrics: () => this.snapshots(),
        grpcElsewhere: (mark) => {
          this.markServing = mark;
        },
      },
    );
  }

  async start(): Promise<AppAddresses> {
    const addresses = await this.app.start();
    const { database } = this.config;
    this.databaseUrls = {
      url: addresses.databaseUrl,
      listenUrl: database.kind === 'url' ? database.listenUrl : addresses.databaseUrl,
    };
    try {
      // Here, because a worker cannot tell a file that was left behind from one that a sibling is about to serve.
      await clearSocketFiles(this.config.grpcAddresses);
      await Promise.all(Array.from({ length: this.config.workers }, () => this.fork()));
    } catch (error) {
      await this.stop().catch(() => {});
      throw error;
    }
    return { ...addresses, grpc: this.grpc };
  }

  async stop(): Promise<void> {
    this.stopping = true;
    for (const cancel of this.cancels) cancel();
    await Promise.all([...this.workers].map((worker) => this.stopWorker(worker)));
    await this.app.stop();
  }

  forceStop(): void {
    for (const worker of this.workers) worker.process.kill('SIGKILL');
    this.app.forceStop();
  }

  /** Resolves when the worker is ready, rejects when it dies or takes too long. */
  private fork(): Promise<void> {
    const worker = cluster.fork();
    const bornAtMs = systemClock.monotonicMs();
    this.workers.add(worker);
    return new Promise((resolve, reject) => {
      const cancel = systemTimers.after(START_PATIENCE_MS, () => {
        worker.process.kill('SIGKILL');
        reject(new Error(`worker ${worker.process.pid} was not ready in time`));
      });
      worker.on('message', (message: FromWorker) => {
        if (message.kind === 'hello')
          this.send(worker, { kind: 'serve', ...(this.databaseUrls as object) } as ToWorker);
        if (message.kind !== 'ready') return;
        cancel();
        this.grpc = message.grpc;
        this.ready.add(worker);
        this.markServing(true);
        this.parts.logger.info('worker is ready', { worker: worker.process.pid });
        resolve();
      });
      worker.once('exit', (code, signal) => {
        cancel();
        this.workers.delete(worker);
        this.ready.delete(worker);
        this.markServing(this.ready.size > 0);
        reject(new Error(`worker ${worker.process.pid} ended with ${signal ?? code}`));
        if (!this.stopping) this.replace(worker, systemClock.monotonicMs() - bornAtMs, signal ?? String(code));
      });
    });
  }

  private replace(worker: Worker, ageMs: number, end: string): void {
    this.earlyDeaths = ageMs < GREW_UP_MS ? this.earlyDeaths + 1 : 0;
    const delayMs = Math.min(REPLACE_MAX_MS, REPLACE_MS * 2 ** Math.max(0, this.earlyDeaths - 1));
    this.parts.logger.error('a worker died and is replaced', { worker: worker.process.pid, end, ageMs, delayMs });
    const cancel = systemTimers.after(delayMs, () => {
      this.cancels.delete(cancel);
      // Its own exit is what tells of a failure, and leads here again.
      if (!this.stopping) this.fork().catch(() => {});
    });
    this.cancels.add(cancel);
  }

  private stopWorker(worker: Worker): Promise<void> {
    return new Promise((resolve) => {
      // A worker drains by the same deadline; one that is stuck past it is ended.
      const cancel = systemTimers.after(this.config.drainMs + 2_000, () => worker.process.kill('SIGKILL'));
      worker.once('exit', () => {
        cancel();
        resolve();
      });
      this.send(worker, { kind: 'stop' });
    });
  }

  private async snapshots(): Promise<readonly MetricsSnapshot[]> {
    // One that starts has no lease yet, and would make the whole look as if it had none.
    const all = await Promise.all([...this.ready].map((worker) => this.snapshot(worker)));
    return all.filter((snapshot): snapshot is MetricsSnapshot => snapshot !== null);
  }

  private snapshot(worker: Worker): Promise<MetricsSnapshot | null> {
    const request = ++this.nextRequest;
    return new Promise((resolve) => {
      const done = (snapshot: MetricsSnapshot | null): void => {
        cancel();
        worker.off('message', listen);
        resolve(snapshot);
      };
      const cancel = systemTimers.after(SNAPSHOT_PATIENCE_MS, () => done(null));
      const listen = (message: FromWorker): void => {
        if (message.kind === 'metrics' && message.request === request) done(message.snapshot);
      };
      worker.on('message', listen);
      this.send(worker, { kind: 'metrics', request });
    });
  }

  private send(worker: Worker, message: ToWorker): void {
    // A worker that has just died is told nothing; its exit is handled where it is heard.
    if (worker.isConnected()) worker.send(message, () => {});
  }
}
