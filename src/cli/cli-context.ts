import type { Environment } from '../config.js';
import type { WorkerChannel } from '../fleet/worker.js';
import type { LogDestination } from '../observability/json-logger.js';
import type { Clock } from '../ports/clock.js';

/** Asks for a stop. The first asks for an orderly one, the second for an immediate one. */
export type StopListener = (signal: 'SIGINT' | 'SIGTERM') => void;

/** All that a command may know of the process it runs in. */
export interface CliContext {
  readonly env: Environment;
  /** Who runs the command, for the audit trail. */
  readonly user: string;
  readonly clock: Clock;
  /** Writes what was asked for, to standard output. */
  out(text: string): void;
  /** Writes what went wrong, to standard error. */
  err(text: string): void;
  /** Reads standard input to its end. */
  readInput(): Promise<string>;
  /** Where log lines go. */
  readonly log: LogDestination;
  /** Calls `listener` at every signal to stop, until the returned function is called. */
  onStop(listener: StopListener): () => void;
  /** Set in a worker of a fleet: its channel to the first process. */
  readonly worker: WorkerChannel | null;
}
