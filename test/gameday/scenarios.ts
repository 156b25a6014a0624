import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import pg from 'pg';
import { runProgram } from '../support/program.js';
import type { Outcome, Scenario, Stage } from './scenario.js';
import { renewCertificate, setFakeHosts, setFakeTime } from './settings.js';
import { fillDisk, freeDisk } from './small-disk.js';
import { COMMON, embeddedUrl, SIDECAR_ROLE } from './world.js';

/** How often a fault that works once is repeated while it lasts, ms. */
const REPEAT_MS = 250;
const HOUR_S = 3_600;
const CERTIFICATE_LIFE_MS = 7_000;
/** How long new certificate files take to be noticed, at most, ms. */
const TAKE_OVER_MS = 1_500;
/** Most megabytes of log that a small disk can have room for once it is full. */
const LOG_MB = 64;

const CUT_SIDECARS = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${SIDECAR_ROLE}'`;

/** Does something again and again until the fault is over. */
async function repeatedly({ hold, sleep }: Stage, act: () => Promise<unknown>): Promise<void> {
  let over = false;
  const holding = hold().then(() => {
    over = true;
  });
  while (!over) {
    await act();
    await sleep(REPEAT_MS);
  }
  await holding;
}

function serverOf({ world }: Stage) {
  if (world.server === null) throw new Error('this scenario needs a server of its own');
  return world.server;
}

/** Writes to the log until the server has no room for more; resolves with its last words. */
async function exhaustLog(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    for (let megabytes = 0; megabytes < LOG_MB; megabytes++) {
      await client.query(`SELECT pg_logical_emit_message(false, 'game day', repeat('x', 1048576))`);
    }
    return 'has room for everything';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await client.end().catch(() => {});
  }
}

const HALF_HOUR_KEY = 'a key that expires in half an hour was meanwhile';

const noCallLost = ({ during }: Outcome) =>
  during.retriedFailed > 0 ? [`${during.retriedFailed} calls through the client library failed`] : [];
const allDecided = ({ during }: Outcome) =>
  Object.keys(during.undecided).length > 0 ? [`undecided: ${JSON.stringify(during.undecided)}`] : [];
const someUndecided = ({ during }: Outcome) =>
  Object.keys(during.undecided).length === 0 ? ['every question was decided: the fault did not bite'] : [];

/** Every fault, in the order in which they are played: those of one setting together. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'none (a calm stretch, to compare with)',
    setting: 'plain',
    alerts: [],
    play: ({ hold }) => hold(),
    judge: (outcome) => [
      ...allDecided(outcome),
      ...noCallLost(outcome),
      ...(outcome.signals.alerts ?? []).map((alert) => `${alert} although nothing is wrong`),
    ],
  },
  {
    name: 'sessions that LISTEN are ended again and again',
    setting: 'plain',
    // Each time it is back before monitoring looks twice.
    alerts: [],
    play: (stage) =>
      repeatedly(stage, () =>
        serverOf(stage).query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'latchkey-listen'`,
        ),
      ),
    judge: (outcome) => [...allDecided(outcome), ...noCallLost(outcome)],
  },
  {
    name: 'database restarted',
    setting: 'plain',
    alerts: ['LatchkeyLeaseLost', 'LatchkeyUndecided'],
    play: async (stage) => {
      await serverOf(stage).stop();
      await stage.hold();
      await serverOf(stage).start();
    },
    judge: someUndecided,
  },
  {
    name: 'database killed (SIGKILL), as a power cut',
    setting: 'plain',
    alerts: ['LatchkeyLeaseLost', 'LatchkeyUndecided'],
    play: async (stage) => {
      await serverOf(stage).kill();
      await stage.hold();
      await serverOf(stage).start();
    },
    judge: someUndecided,
  },
  {
    name: 'database read-only',
    setting: 'plain',
    alerts: ['LatchkeyLeaseLost'],
    play: async (stage) => {
      const server = serverOf(stage);
      await server.set('default_transaction_read_only', 'on');
      await stage.hold();
      // The session that ends it is read-only too, unless it says otherwise.
      await server.query('BEGIN READ WRITE; COMMIT');
      await server.set('default_transaction_read_only', 'off');
    },
  },
  {
    name: 'out of connections: others hold them all',
    setting: 'plain',
    alerts: ['LatchkeyLeaseLost', 'LatchkeyUndecided'],
    play: async (stage) => {
      const held: pg.Client[] = [];
      // Opened before: nothing is sure to get in afterwards.
      const admin = new pg.Client({ connectionString: serverOf(stage).url });
      await admin.connect();
      const url = new URL(serverOf(stage).url);
      await serverOf(stage).query(
        `DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'hoarder') THEN
           CREATE ROLE hoarder LOGIN PASSWORD 'hoarder'; END IF; END $$`,
      );
      url.username = 'hoarder';
      url.password = 'hoarder';
      const hold = async () => {
        const client = new pg.Client({ connectionString: url.href, connectionTimeoutMillis: 2_000 });
        client.on('error', () => {});
        await client.connect();
        held.push(client);
      };
      const holdAll = async () => {
        while (
          (await Promise.allSettled([hold(), hold(), hold(), hold()])).some(({ status }) => status === 'fulfilled')
        );
      };
      await holdAll();
      await repeatedly(stage, async () => {
        await admin.query(CUT_SIDECARS);
        await holdAll();
      });
      await Promise.all([admin, ...held].map((client) => client.end()));
    },
    judge: someUndecided,
  },
  {
    name: 'password of the role changed under it',
    setting: 'plain',
    alerts: ['LatchkeyLeaseLost', 'LatchkeyUndecided'],
    play: async (stage) => {
      const server = serverOf(stage);
      const [role] = await server.query<{ secret: string }>(
        `SELECT rolpassword AS secret FROM pg_authid WHERE rolname = '${SIDECAR_ROLE}'`,
      );
      await server.query(`ALTER ROLE ${SIDECAR_ROLE} PASSWORD 'another'`);
      await server.query(CUT_SIDECARS);
      await stage.hold();
      await server.query(`ALTER ROLE ${SIDECAR_ROLE} PASSWORD '${role?.secret}'`);
    },
    judge: someUndecided,
  },
  {
    name: 'schema of a later release: another sidecar is to start on it',
    setting: 'plain',
    alerts: [],
    play: async (stage) => {
      const server = serverOf(stage);
      await server.query(`INSERT INTO latchkey.migrations (name, run_on) VALUES ('0900_contract_all', now())`);
      const { code, stderr } = await runProgram(['serve'], {
        ...COMMON,
        DATABASE_URL: server.url,
        LATCHKEY_SESSION_MODE: 'table',
        LATCHKEY_GRPC_ADDRESS: '127.0.0.1:0',
        LATCHKEY_ADMIN_ADDRESS: '',
        LATCHKEY_HTTP_ADDRESS: '',
        LATCHKEY_METRICS_ADDRESS: '',
      });
      await server.query(`DELETE FROM latchkey.migrations WHERE name = '0900_contract_all'`);
      const words = /The database schema is newer[^"\n]*/.exec(stderr)?.[0] ?? 'no clear word';
      stage.note(`the newcomer ended with ${code}: ${words}`);
    },
    judge: ({ notes, ...outcome }) => [
      ...allDecided({ notes, ...outcome }),
      ...(notes.some((line) => line.startsWith('the newcomer ended with 1: The database schema is newer'))
        ? []
        : ['the newcomer was not refused clearly']),
    ],
  },
  {
    name: 'SIGTERM to one sidecar after the other, each started again',
    setting: 'plain',
    alerts: ['LatchkeyDown'],
    play: async ({ world, hold, note }) => {
      for (const sidecar of world.sidecars) {
        sidecar.signal('SIGTERM');
        const { code } = await sidecar.ended;
        note(`${sidecar.name} ended with ${code}`);
        await hold();
        await sidecar.start();
      }
    },
    judge: (outcome) => [...noCallLost(outcome), ...outcome.notes.filter((line) => / ended with (?!0$)/.test(line))],
  },
  {
    name: 'memory limit reached in one sidecar, which a supervisor starts again',
    setting: 'plain',
    alerts: ['LatchkeyDown'],
    play: async ({ world, hold, note }) => {
      const [sidecar] = world.sidecars;
      if (sidecar === undefined) return;
      // Below what it has: the next time it asks the system for memory it gets none.
      await promisify(execFile)('prlimit', ['--pid', String(sidecar.pid), '--as=1048576']);
      const [{ code, signal }] = await Promise.all([sidecar.ended, sidecar.strain()]);
      note(`it ended by ${signal ?? `exit code ${code}`}`);
      await hold();
      await sidecar.start();
    },
    judge: noCallLost,
  },
  {
    name: 'name of the database gone from DNS, and connections cut',
    setting: 'shimmed',
    alerts: ['LatchkeyLeaseLost', 'LatchkeyUndecided'],
    play: async (stage) => {
      await setFakeHosts(false);
      await repeatedly(stage, () => serverOf(stage).query(CUT_SIDECARS));
      await setFakeHosts(true);
    },
    judge: someUndecided,
  },
  ...([HOUR_S, -HOUR_S] as const).map(
    (seconds): Scenario => ({
      name: `wall clock of the sidecars stepped an hour ${seconds > 0 ? 'ahead' : 'back'}`,
      setting: 'shimmed',
      alerts: [],
      play: async ({ world, hold, note }) => {
        const [sidecar] = world.sidecars;
        const created = await sidecar?.rest('POST', '/api/keys', world.session, {
          name: 'for half an hour',
          expires_at: new Date(Date.now() + (HOUR_S / 2) * 1_000).toISOString(),
        });
        await setFakeTime(seconds);
        await hold();
        const answer = (await sidecar?.ask(String(created?.body['raw_key']))) ?? 'nothing';
        note(`${HALF_HOUR_KEY} ${typeof answer === 'string' ? answer : answer.error}`);
        await setFakeTime(0);
      },
      judge: (outcome) => [
        ...allDecided(outcome),
        ...noCallLost(outcome),
        ...(outcome.notes.includes(`${HALF_HOUR_KEY} ${seconds > 0 ? 'denied' : 'granted'}`)
          ? []
          : ['the sidecars did not see the step']),
      ],
    }),
  ),
  {
    name: 'certificate expired, then replaced',
    setting: 'tls',
    // Whoever is connected stays so, Prometheus among them: only handshakes fail.
    alerts: ['LatchkeyCertificateExpiresSoon'],
    play: async ({ load, sleep, hold, note }) => {
      load.reconnecting = true;
      // Long enough to be scraped before it expires: afterwards nobody gets in to read when it did.
      const endsAtMs = await renewCertificate(CERTIFICATE_LIFE_MS);
      await sleep(endsAtMs - Date.now());
      await hold();
      await renewCertificate(null);
      await sleep(TAKE_OVER_MS);
      note('sidecars took the new files over without a restart');
    },
    judge: someUndecided,
  },
  {
    name: 'disk of the database full: no table can grow',
    setting: 'small disk',
    alerts: [],
    play: async (stage) => {
      const filler = await fillDisk();
      await stage.hold();
      await freeDisk(filler);
    },
    judge: (outcome) => [...allDecided(outcome), ...noCallLost(outcome)],
  },
  {
    name: 'disk of the database full: no room for the write-ahead log',
    setting: 'small disk',
    alerts: ['LatchkeyLeaseLost', 'LatchkeyUndecided'],
    play: async (stage) => {
      const server = serverOf(stage);
      const filler = await fillDisk();
      stage.note(`the server: ${await exhaustLog(server.url)}`);
      await stage.hold();
      await freeDisk(filler);
      await server.stop();
      await server.start();
    },
    judge: someUndecided,
  },
  {
    name: 'disk of the embedded database full (one sidecar, two workers)',
    setting: 'embedded on a small disk',
    alerts: ['LatchkeyLeaseLost', 'LatchkeyUndecided'],
    play: async (stage) => {
      const filler = await fillDisk();
      stage.note(`the server: ${await exhaustLog(await embeddedUrl(stage.world))}`);
      await stage.hold();
      await freeDisk(filler);
    },
    judge: someUndecided,
  },
];
