import {
  type CommandConfig,
  type ConfigProblem,
  describeProblem,
  type ListenAddress,
  parseCommandConfig,
  parseConfig,
  type SessionConfig,
} from '../../config.js';
import { CleanupStack } from '../../lifecycle.js';
import { systemTimers } from '../../observability/system-timers.js';
import type { CliContext } from '../cli-context.js';
import { commandLogger } from '../command-config.js';
import { ExitCode } from '../exit-code.js';
import { openDatabase } from '../open-database.js';
import type { Outcome } from '../outcome.js';
import { table } from '../table.js';
import { checkDatabase } from './check-database.js';
import { checkTables, checkTls } from './check-files.js';
import { checkListen } from './check-listen.js';
import { checkListener } from './check-listeners.js';
import { checkRights } from './check-rights.js';
import { checkSchema } from './check-schema.js';
import { checkSessions } from './check-sessions.js';
import { type Finding, fail, ok, reasonOf } from './finding.js';
import { sidecarRuns } from './sidecar-runs.js';

/** How long, in ms, closing what was opened may take. */
const CLOSE_MS = 10_000;

/** `latchkey doctor`: tries everything the sidecar depends on. Changes nothing. */
export async function doctor(context: CliContext): Promise<Outcome> {
  const findings = await examine(context);
  const failed = findings.some(({ severity }) => severity === 'fail');
  return {
    exitCode: failed ? ExitCode.FAILURE : ExitCode.OK,
    json: { healthy: !failed, findings },
    text: describe(findings),
  };
}

async function examine(context: CliContext): Promise<Finding[]> {
  const served = parseConfig(context.env);
  if ('config' in served) {
    const findings = await examineEnvironment(context, served.config, served.config.session);
    return [ok('configuration', 'every setting is understood'), ...findings];
  }
  const problems = served.problems.map(configurationFinding);
  const rest = parseCommandConfig(context.env);
  // What only `serve` needs may be missing without keeping the rest from being looked at.
  return 'config' in rest ? [...problems, ...(await examineEnvironment(context, rest.config, null))] : problems;
}

function configurationFinding(problem: ConfigProblem): Finding {
  return fail('configuration', describeProblem(problem), 'latchkey serve --help explains every setting');
}

async function examineEnvironment(
  context: CliContext,
  config: CommandConfig,
  session: SessionConfig | null,
): Promise<Finding[]> {
  const runs = await sidecarRuns(config.metricsAddress, config.tls !== null);
  const listeners: readonly (readonly [string, ListenAddress | null])[] = [
    ...config.grpcAddresses.map((address) => ['LATCHKEY_GRPC_ADDRESS', address] as const),
    ['LATCHKEY_ADMIN_ADDRESS', config.adminAddress],
    ['LATCHKEY_HTTP_ADDRESS', config.httpAddress],
    ['LATCHKEY_METRICS_ADDRESS', config.metricsAddress],
  ];
  return [
    ...(await examineDatabase(context, config, session)),
    ...(await Promise.all(
      listeners.flatMap(([variable, address]) => (address === null ? [] : [checkListener(variable, address, runs)])),
    )),
    ...(await checkTables(config)),
    ...(config.tls === null ? [] : await checkTls(config.tls, context.clock)),
  ];
}

/** The database, and what rests on it. */
async function examineDatabase(
  context: CliContext,
  config: CommandConfig,
  session: SessionConfig | null,
): Promise<Finding[]> {
  const { clock } = context;
  const sessions = async (url: string | null) => (session === null ? [] : [await checkSessions(session, url, clock)]);
  const cleanups = new CleanupStack(systemTimers);
  try {
    const { url, listenUrl } = await openDatabase(config, commandLogger(context, config), cleanups, 'leave');
    const findings = await checkDatabase('database', url, clock);
    if (listenUrl !== url) {
      // The clock was compared already.
      findings.push(...(await checkDatabase('database for LISTEN', listenUrl, clock)).slice(0, 1));
    }
    if (findings.some(({ severity }) => severity === 'fail')) return [...findings, ...(await sessions(null))];
    const schema = await checkSchema(listenUrl);
    // Of tables that are not there yet nobody has rights.
    const rights = schema.severity === 'fail' ? [] : [await checkRights(url)];
    return [...findings, await checkListen(url, listenUrl), schema, ...rights, ...(await sessions(url))];
  } catch (error) {
    const remedy = 'correct what it says; LATCHKEY_DATA_DIR names another directory, DATABASE_URL another database';
    return [fail('embedded database', reasonOf(error), remedy), ...(await sessions(null))];
  } finally {
    await cleanups.unwind(CLOSE_MS);
  }
}

function describe(findings: readonly Finding[]): string {
  const rows = findings.flatMap(({ subject, severity, detail, remedy }) => {
    // A file may have several mistakes, each on a line of its own.
    const [first = '', ...more] = detail.trimEnd().split('\n');
    return [
      [severity === 'fail' ? 'FAIL' : severity, subject, first],
      ...more.map((line) => ['', '', line]),
      ...(remedy === null ? [] : [['', '', `→ ${remedy}`]]),
    ];
  });
  return table(['', 'WHAT', 'FOUND'], rows);
}
