import { createApp } from '../app.js';
import { parseConfig } from '../config.js';
import { createFleet } from '../fleet/fleet.js';
import { runFleetWorker } from '../fleet/worker.js';
import { jsonLogger } from '../observability/json-logger.js';
import type { CliContext } from './cli-context.js';
import { ConfigFailure } from './cli-failure.js';
import { fileProblems } from './file-problems.js';
import { firstSteps } from './first-steps.js';
import { done, type Outcome } from './outcome.js';
import { version } from './version.js';

/** `latchkey serve`: until a signal asks for its end. */
export async function serve(context: CliContext, checkOnly: boolean): Promise<Outcome> {
  const parsed = parseConfig(context.env);
  if ('problems' in parsed) throw new ConfigFailure(parsed.problems);
  const { config } = parsed;
  // A worker's files were tried by the first process.
  const problems = context.worker === null ? await fileProblems(config, context.clock) : [];
  if (problems.length > 0) throw new ConfigFailure(problems);
  if (checkOnly) return done({ valid: true }, 'The configuration can be used.');
  const logger = jsonLogger(config.logLevel, context.log);
  const parts = { logger, version: version(), nodeVersion: process.version };
  if (context.worker !== null) {
    // Signals to the whole process group reach a worker too; when it stops is for the first process to say.
    const unsubscribe = context.onStop(() => {});
    await runFleetWorker(config, { ...parts, logger: logger.child({ worker: process.pid }) }, context.worker).finally(
      unsubscribe,
    );
    return done({ stopped: true }, '');
  }
  const app = config.workers > 1 ? createFleet(config, parts) : createApp(config, parts);

  let asked = 0;
  let stop = (): void => {};
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  const unsubscribe = context.onStop((signal) => {
    asked++;
    if (asked === 1) {
      logger.info('stopping: no new calls, and those in flight may end', { signal, drainMs: config.drainMs });
      stop();
    } else {
      logger.warn('stopping now: what is still in flight is cut off', { signal });
      app.forceStop();
    }
  });
  try {
    const starting = app.start();
    // A stop may overtake the start, which then ends with an error that is nobody's fault.
    const addresses = await Promise.race([starting, stopped.then(() => null)]);
    if (addresses !== null) {
      logger.info('ready', { ...addresses, databaseUrl: undefined });
      if (config.database.kind === 'embedded') context.out(firstSteps(config, addresses));
      await stopped;
    } else {
      starting.catch(() => {});
    }
    await app.stop();
    logger.info('stopped');
    return done({ stopped: true }, '');
  } finally {
    unsubscribe();
  }
}
