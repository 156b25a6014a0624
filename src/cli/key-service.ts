import { Registry } from 'prom-client';
import { RevocationBarrier } from '../coherence/revocation-barrier.js';
import type { CommandConfig } from '../config.js';
import { KeyTags } from '../domain/key-tag.js';
import { mintRawKey } from '../domain/raw-key.js';
import { CleanupStack } from '../lifecycle.js';
import { PrometheusMetrics } from '../observability/prometheus-metrics.js';
import { systemTimers } from '../observability/system-timers.js';
import type { Actor } from '../ports/key-registry.js';
import { KeyService } from '../service/keys.js';
import { createPool } from '../store/postgres/pool.js';
import { PostgresHistory } from '../store/postgres/postgres-history.js';
import { PostgresKeyRegistry } from '../store/postgres/postgres-key-registry.js';
import { QueryRunner } from '../store/postgres/run-query.js';
import type { CliContext } from './cli-context.js';
import { CliFailure } from './cli-failure.js';
import { commandLogger } from './command-config.js';
import { ExitCode } from './exit-code.js';
import { openDatabase } from './open-database.js';
import { version } from './version.js';

/** Connections of a command: one for its change and one for the barrier's readings. */
const POOL_SIZE = 2;

/** How long, in ms, closing what a command opened may take. */
const CLOSE_MS = 10_000;

/** Account of a command on the embedded database that names none. */
const DEV_ACCOUNT = 'dev';

/** What a command may use of a database. */
export interface CommandStore {
  readonly runner: QueryRunner;
  readonly keys: KeyService;
}

/**
 * Runs `use` on the database of the configuration, the embedded one started for it if need be, and closes what was
 * opened.
 */
export async function withStore<T>(
  context: CliContext,
  config: CommandConfig,
  use: (store: CommandStore) => Promise<T>,
): Promise<T> {
  const logger = commandLogger(context, config);
  const cleanups = new CleanupStack(systemTimers);
  const result = await cleanups.guard(CLOSE_MS, async () => {
    const database = await openDatabase(config, logger, cleanups);
    const pool = createPool({ url: database.url, size: POOL_SIZE, logger, applicationName: 'latchkey-cli' });
    cleanups.defer('connection pool', () => pool.end());
    const metrics = new PrometheusMetrics(new Registry(), { version: version(), node: process.version });
    const parts = { clock: context.clock, timers: systemTimers, metrics, logger };
    const runner = new QueryRunner({ pool, ...parts });
    const tags = config.keyTagSecrets.length > 0 ? new KeyTags(config.keyTagSecrets) : null;
    const barrier = new RevocationBarrier({ history: new PostgresHistory(runner, logger), ...parts });
    cleanups.defer('barrier', () => barrier.close());
    const keys = new KeyService({
      registry: new PostgresKeyRegistry(runner),
      barrier,
      logger,
      mintRawKey: tags === null ? mintRawKey : () => tags.mint(),
      maxActiveKeys: config.maxActiveKeys,
    });
    return await use({ runner, keys });
  });
  await cleanups.unwind(CLOSE_MS);
  return result;
}

/** As {@link withStore}, with the key service alone. */
export function withKeyService<T>(
  context: CliContext,
  config: CommandConfig,
  use: (keys: KeyService) => Promise<T>,
): Promise<T> {
  return withStore(context, config, ({ keys }) => use(keys));
}

/** Who acts, for the audit trail. */
export function actorOf(context: CliContext): Actor {
  return { name: `cli:${context.user}`, origin: null };
}

/** The account that a command is about. Throws where it must be named and is not. */
export function accountOf(config: CommandConfig, account: string | undefined): string {
  if (account !== undefined && account !== '') return account;
  if (account === undefined && config.database.kind === 'embedded') return DEV_ACCOUNT;
  throw new CliFailure(ExitCode.USAGE, 'whose keys? Name the account with --account');
}
