import { createApp } from '../app.js';
import { parseConfig } from '../config.js';
import { jsonLogger } from '../observability/json-logger.js';
import type { CliContext } from './cli-context.js';
import { ConfigFailure } from './cli-failure.js';
import { ExitCode } from './exit-code.js';
import { firstSteps } from './first-steps.js';
import { done, type Outcome } from './outcome.js';
import { version } from './version.js';

/** `latchkey serve`: until a signal asks for its end. */
export async function serve(context: CliContext, checkOnly: boolean): Promise<Outcome> {
  const parsed = parseConfig(context.env);
  if ('problems' in parsed) throw new ConfigFailure(parsed.problems);
  if (checkOnly) return done({ valid: true }, 'The configuration can be used.');
  const { config } = parsed;
  const logger = jsonLogger(config.logLevel, context.log);
  const app = createApp(config, { logger, version: version(), nodeVersion: process.version });

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
    return { exitCode: ExitCode.OK, json: { stopped: true }, text: '' };
  } finally {
    unsubscribe();
  }
}
