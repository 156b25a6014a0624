#!/usr/bin/env node
import cluster from 'node:cluster';
import { userInfo } from 'node:os';
import { text } from 'node:stream/consumers';
import type { CliContext, StopListener } from './cli/cli-context.js';
import { runCli } from './cli/run-cli.js';
import { setHeapFlags } from './observability/heap-flags.js';
import { jsonLogger } from './observability/json-logger.js';
import { LogSink } from './observability/log-sink.js';
import { systemClock } from './observability/system-clock.js';
import { keepAlive, systemTimers } from './observability/system-timers.js';

/*
 * The entry of the program, and the only place that knows the process: its arguments, environment, signals and exit.
 */

setHeapFlags();

const STDERR_FD = 2;
const CRASHED = 1;

const log = new LogSink(STDERR_FD, systemTimers);
const stopListeners = new Set<StopListener>();

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // A command that does not care is ended as if no handler were here.
    if (stopListeners.size === 0) end(signal === 'SIGINT' ? 130 : 143);
    for (const listener of stopListeners) listener(signal);
  });
}

// After an error or a rejection that nobody expected, nothing is known of the state of the process: it must not decide
// anything more. Its lease runs out, and a supervisor starts it again.
process.on('uncaughtException', (error, origin) => {
  jsonLogger('error', log).error('the process is broken and ends', { origin, error });
  end(CRASHED);
});
// A reader that goes away, as in `latchkey keys list | head`, is no reason for a crash with its message.
process.stdout.on('error', () => end(CRASHED));

const context: CliContext = {
  env: process.env,
  user: userName(),
  clock: systemClock,
  out: (line) => void process.stdout.write(line),
  err: (line) => void process.stderr.write(line),
  readInput: () => text(process.stdin),
  log,
  onStop(listener) {
    stopListeners.add(listener);
    return () => void stopListeners.delete(listener);
  },
  worker: cluster.isWorker
    ? {
        send: (message) => void process.send?.(message),
        onMessage: (listener) => void process.on('message', listener),
        onDisconnect(listener) {
          // Node.js would end this process at once: calls in flight would be cut, and the lease waited out.
          if (cluster.worker) cluster.worker.exitedAfterDisconnect = true;
          process.on('disconnect', listener);
        },
      }
    : null,
};

// Timers and idle connections do not keep the process alive; a command that waits for them must.
keepAlive();
end(await runCli(process.argv.slice(2), context));

function end(code: number): never {
  log.flushSync();
  process.exit(code);
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run as a user that has no name.
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
