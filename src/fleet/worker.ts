import { type App, type AppParts, createApp } from '../app.js';
import type { Config } from '../config.js';
import type { FromWorker, ToWorker } from './messages.js';

/** The channel to the first process. */
export interface WorkerChannel {
  send(message: FromWorker): void;
  onMessage(listener: (message: ToWorker) => void): void;
  /** The first process is gone. */
  onDisconnect(listener: () => void): void;
}

/**
 * Runs one worker of a fleet: gRPC alone, on the listeners that it shares with its siblings and on the database that the
 * first process names.
 *
 * Resolves after an orderly stop, which the first process asks for, or which follows from its end: a worker never
 * outlives it. Rejects when it cannot start.
 */
export async function runFleetWorker(config: Config, parts: AppParts, channel: WorkerChannel): Promise<void> {
  let app: App | null = null;
  let stop = (): void => {};
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  const serve = new Promise<Extract<ToWorker, { kind: 'serve' }>>((resolve) => {
    channel.onMessage((message) => {
      if (message.kind === 'serve') resolve(message);
      else if (message.kind === 'stop') stop();
      else {
        void app?.metricsSnapshot().then((snapshot) => {
          channel.send({ kind: 'metrics', request: message.request, snapshot });
        });
      }
    });
  });
  channel.onDisconnect(stop);
  channel.send({ kind: 'hello' });
  const { url, listenUrl } = await serve;
  app = createApp(
    {
      ...config,
      database: { kind: 'url', url, listenUrl },
      adminAddress: null,
      httpAddress: null,
      metricsAddress: null,
    },
    parts,
  );
  const { grpc } = await app.start();
  channel.send({ kind: 'ready', grpc });
  await stopped;
  await app.stop();
}
