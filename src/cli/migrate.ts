import { CleanupStack } from '../lifecycle.js';
import { systemTimers } from '../observability/system-timers.js';
import { migrate as migrateDatabase, readSchemaState } from '../store/postgres/migrate.js';
import type { CliContext } from './cli-context.js';
import { commandConfig, commandLogger } from './command-config.js';
import { openDatabase } from './open-database.js';
import { done, type Outcome } from './outcome.js';

/** How long, in ms, closing what was opened may take. */
const CLOSE_MS = 10_000;

/** `latchkey migrate`. */
export async function migrate(context: CliContext, planOnly: boolean): Promise<Outcome> {
  const config = commandConfig(context);
  const logger = commandLogger(context, config);
  const cleanups = new CleanupStack(systemTimers);
  const outcome = await cleanups.guard(CLOSE_MS, async () => {
    const { listenUrl: url } = await openDatabase(config, logger, cleanups, 'leave');
    if (planOnly) return plan(await readSchemaState(url));
    const applied = await migrateDatabase({ url, logger });
    return done(
      { applied },
      applied.length === 0 ? 'The schema is up to date; nothing was applied.' : `Applied:\n${bullets(applied)}`,
    );
  });
  await cleanups.unwind(CLOSE_MS);
  return outcome;
}

function plan({ applied, pending, unknown }: Awaited<ReturnType<typeof readSchemaState>>): Outcome {
  const lines = [
    pending.length === 0 ? 'Nothing to apply; the schema is up to date.' : `Would apply:\n${bullets(pending)}`,
    ...(unknown.length === 0 ? [] : [`Applied by a newer version and unknown to this one:\n${bullets(unknown)}`]),
  ];
  return done({ applied, pending, unknown }, lines.join('\n'));
}

function bullets(names: readonly string[]): string {
  return names.map((name) => `  ${name}`).join('\n');
}
