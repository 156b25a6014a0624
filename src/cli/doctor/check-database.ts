import pg from 'pg';
import type { Clock } from '../../ports/clock.js';
import { answered, CHECK_MS } from './answered.js';
import { codeOf, type Finding, fail, ok, reasonOf, warn } from './finding.js';

/** The oldest major version of PostgreSQL that is tested. */
const OLDEST_MAJOR = 14;

/** Difference of the clocks, in ms, from which expiry times are off by more than anyone expects. */
const CLOCK_WARN_MS = 1000;
const CLOCK_FAIL_MS = 60_000;

/** How to mend what kept a connection from being made, by the code of its error. */
const CONNECT_REMEDY: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there: start PostgreSQL, or correct the host and port of the URL',
  ENOTFOUND: 'the host has no address: correct the name, or the resolver of this machine',
  EAI_AGAIN: 'the resolver of this machine does not answer',
  ETIMEDOUT: 'a firewall or a wrong address swallows the connection',
  '28P01': 'the password is wrong: correct it in the URL',
  '28000': 'the server refuses this user or address: see its pg_hba.conf',
  '3D000': 'the database does not exist: create it, or correct its name in the URL',
  '53300':
    'the server has no connections left: lower LATCHKEY_POOL_SIZE, put a pooler in between, or raise max_connections',
  '57P03': 'the server is starting or in recovery: try again in a moment',
};

/** Opens a connection of its own, hands it to `use`, and closes it. */
export async function withConnection<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'latchkey-doctor',
    connectionTimeoutMillis: CHECK_MS,
    query_timeout: CHECK_MS,
  });
  // Whatever breaks the connection also rejects what is waiting for it.
  client.on('error', () => {});
  try {
    await answered(client.connect());
    return await answered(use(client));
  } finally {
    // Not awaited: over a dead connection it would never end.
    void client.end().catch(() => {});
  }
}

/** Connects, and looks at what kind of server answers. */
export async function checkDatabase(subject: string, url: string, clock: Clock): Promise<Finding[]> {
  try {
    return await withConnection(url, async (client) => {
      const beforeMs = clock.wallMs();
      const { rows } = await client.query<ServerState>(SERVER_STATE);
      const afterMs = clock.wallMs();
      const [state] = rows;
      if (state === undefined) return [fail(subject, 'it answered nothing', 'is this PostgreSQL?')];
      return [serverFinding(subject, state), clockFinding(state.now_ms, beforeMs, afterMs)];
    });
  } catch (error) {
    const remedy = CONNECT_REMEDY[codeOf(error)] ?? 'see the log of the server, and try the URL with psql';
    return [fail(subject, `cannot connect: ${reasonOf(error)}`, remedy)];
  }
}

interface ServerState {
  readonly version: number;
  readonly standby: boolean;
  readonly read_only: boolean;
  readonly now_ms: number;
}

const SERVER_STATE = `
  SELECT current_setting('server_version_num')::int AS version, pg_is_in_recovery() AS standby,
         current_setting('transaction_read_only')::bool AS read_only,
         (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now_ms`;

function serverFinding(subject: string, state: ServerState): Finding {
  const major = Math.trunc(state.version / 10_000);
  if (state.standby) {
    return fail(subject, 'it is a standby, whose answers may be old', 'point the URL at the primary');
  }
  if (state.read_only) {
    return fail(
      subject,
      'it takes no writes',
      'point the URL at the primary, or end its read-only mode (is its disk full?)',
    );
  }
  if (major < OLDEST_MAJOR) {
    return warn(subject, `PostgreSQL ${major} is older than what is tested`, `upgrade to ${OLDEST_MAJOR} or newer`);
  }
  return ok(subject, `PostgreSQL ${major}, a primary that takes writes`);
}

/** Compares with the middle of the call: half of its duration is the error of the comparison. */
function clockFinding(databaseMs: number, beforeMs: number, afterMs: number): Finding {
  const differenceMs = databaseMs - (beforeMs + afterMs) / 2;
  const distanceMs = Math.max(0, Math.abs(differenceMs) - (afterMs - beforeMs) / 2);
  const text = `the database is ${(Math.abs(differenceMs) / 1000).toFixed(3)} s ${differenceMs < 0 ? 'behind' : 'ahead of'} this machine`;
  const remedy = 'keys expire by the clock of the sidecar: synchronise both clocks (chrony, systemd-timesyncd)';
  if (distanceMs >= CLOCK_FAIL_MS) return fail('clock', text, remedy);
  if (distanceMs >= CLOCK_WARN_MS) return warn('clock', text, remedy);
  return ok('clock', text);
}
