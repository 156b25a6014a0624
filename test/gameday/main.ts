import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { findPeer } from '../support/peers.js';
import { Load, type Tally } from './load.js';
import { Monitoring, type Signals } from './monitoring.js';
import type { Outcome, Scenario, Setting } from './scenario.js';
import { SCENARIOS } from './scenarios.js';
import { endSettings, startSetting } from './settings.js';
import type { World } from './world.js';

const USAGE = `Plays faults on two sidecars under load, on a PostgreSQL of its own, and prints what clients saw, what metrics and the
shipped alert rules said, and how many calls were wrongly allowed. Exit code 1 when a revoked key was allowed after its
revocation had been confirmed, when the sidecars did not recover, or when a fault showed other signs than it should.

  npm run gameday -- [options]

  --only WORD    only faults with this word in their name or setting
  --seconds S    how long a fault lasts at least (3)
  --json FILE    write what was seen to a file too
  --write        put the table into docs/game-day.md`;

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    seconds: { type: 'string', default: '3' },
    json: { type: 'string' },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit();
}

/** Where `--write` puts the table. */
const PAGE = 'docs/game-day.md';
/** Load before the fault, and after all is well again, ms. */
const CALM_MS = 1_000;
/** How long sidecars may take to be whole again, ms: LISTEN is tried again at most 10 s after the last try. */
const RECOVERY_MAX_MS = 30_000;
const LOOK_MS = 100;
/** How much longer than usual a fault may last for monitoring to notice it, ms. */
const NOTICE_MAX_MS = 10_000;

interface Row {
  readonly scenario: Scenario;
  readonly outcome: Outcome | null;
  readonly problems: readonly string[];
  /** Why it was not played, if it was not. */
  readonly missing: string | null;
}

async function isWhole({ sidecars, live }: World): Promise<boolean> {
  const each = await Promise.all(
    sidecars.map(async (sidecar) => {
      const samples = await sidecar.scrape();
      if (samples?.get('latchkey_lease_valid') !== 1 || samples.get('latchkey_listener_connected') !== 1) return false;
      return (await sidecar.ask(live[0] ?? '')) === 'granted';
    }),
  );
  return each.every(Boolean);
}

/** Waits until the sidecars are whole; resolves with the seconds it took, or `null`. */
async function recovery(world: World): Promise<number | null> {
  const startedAtMs = performance.now();
  while (performance.now() - startedAtMs < RECOVERY_MAX_MS) {
    if (await isWhole(world)) return (performance.now() - startedAtMs) / 1_000;
    await sleep(LOOK_MS);
  }
  return null;
}

async function play(scenario: Scenario, world: World, prometheus: string | null): Promise<Row> {
  const notes: string[] = [];
  await recovery(world);
  const load = new Load(world.sidecars, world.live, world.session);
  const monitoring = await Monitoring.start(prometheus, world.sidecars);
  load.start();
  let during: Tally;
  let signals: Signals;
  let recoveredS: number | null;
  try {
    await sleep(CALM_MS);
    load.turn();
    monitoring.turn();
    for (const sidecar of world.sidecars) sidecar.forgetComplaints();
    const hold = async () => {
      await sleep(Number(values.seconds) * 1_000);
      const waitedFromMs = performance.now();
      while (
        silentAlerts(scenario, monitoring.signals).length > 0 &&
        performance.now() - waitedFromMs < NOTICE_MAX_MS
      ) {
        await sleep(LOOK_MS);
      }
    };
    await scenario.play({ world, load, hold, sleep, note: (line) => notes.push(line) });
    recoveredS = await recovery(world);
    during = load.turn();
    await sleep(CALM_MS);
  } finally {
    ({ signals } = monitoring);
    await Promise.all([load.stop(), monitoring.stop()]);
  }
  const after = load.turn();
  const { history } = load;
  notes.push(...(world.sidecars[0]?.complaints ?? []).map((line) => `log: ${line}`));
  const outcome: Outcome = {
    during,
    after,
    signals,
    recoveredS,
    wronglyAllowed: history.violations.length,
    unknownAfterCreation: history.tally.unknownAfterCreation,
    notes,
  };
  return { scenario, outcome, problems: judge(scenario, outcome), missing: null };
}

/** Alerts that should have fired and have not. */
function silentAlerts({ alerts }: Scenario, signals: Signals): readonly string[] {
  return alerts.filter((alert) => signals.alerts !== null && !signals.alerts.includes(alert));
}

function judge(scenario: Scenario, outcome: Outcome): readonly string[] {
  const { signals, recoveredS, wronglyAllowed, unknownAfterCreation, during, after } = outcome;
  return [
    ...(wronglyAllowed > 0 ? [`${wronglyAllowed} calls wrongly allowed`] : []),
    ...(unknownAfterCreation > 0 ? [`${unknownAfterCreation} existing keys were called unknown`] : []),
    ...(recoveredS === null ? ['the sidecars did not recover'] : []),
    ...(during.granted + during.denied === 0 ? ['nothing was decided: the run shows nothing'] : []),
    ...(after.granted === 0 ? ['nothing was granted afterwards'] : []),
    ...silentAlerts(scenario, signals).map((alert) => `${alert} did not fire`),
    ...(scenario.judge?.(outcome) ?? []),
  ];
}

function counts(numbers: Readonly<Record<string, number>>): string {
  return Object.entries(numbers)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}

function seen({ granted, denied, undecided }: Tally): string {
  return [`granted ${granted}`, `denied ${denied}`, `undecided ${counts(undecided) || 0}`].join('\n');
}

function managed({ confirmed, slowestMs, refused, created }: Tally): string {
  return [
    `created ${created}`,
    `revoked ${confirmed}`,
    ...(confirmed > 0 ? [`slowest ${(slowestMs / 1_000).toFixed(1)} s`] : []),
    ...(Object.keys(refused).length > 0 ? [counts(refused)] : []),
  ].join('\n');
}

function said({ signals }: Outcome): string {
  const durations = [
    ['no lease', signals.leaseLostS],
    ['no LISTEN', signals.listenerDownS],
    ['not scraped', signals.unreachableS],
  ] as const;
  return [
    ...durations.filter(([, seconds]) => seconds > 0).map(([what, seconds]) => `${what} ${seconds.toFixed(1)} s`),
    ...(Object.keys(signals.counted).length > 0 ? [counts(signals.counted)] : []),
    ...(signals.alerts === null ? ['(no Prometheus here)'] : signals.alerts),
  ].join('\n');
}

function show(rows: readonly Row[]): string {
  const table = new Table({
    head: [
      'fault',
      'answers to questions',
      'client library',
      'keys',
      'metrics and alerts',
      'whole after',
      'wrongly\nallowed',
    ],
    colWidths: [30, 26, 12, 20, 34, 8, 9],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  for (const { scenario, outcome, missing, problems } of rows) {
    const name = problems.length === 0 ? scenario.name : `${scenario.name}\n!! ${problems.join('\n!! ')}`;
    if (outcome === null) table.push([name, { colSpan: 6, content: `not played: this machine lacks ${missing}` }]);
    else {
      const { during, recoveredS, wronglyAllowed } = outcome;
      table.push([
        name,
        seen(during),
        `${during.retried} calls\n${during.retriedFailed} failed`,
        managed(during),
        said(outcome),
        recoveredS === null ? 'never' : `${recoveredS.toFixed(1)} s`,
        String(wronglyAllowed),
      ]);
    }
  }
  return table.toString();
}

const BEGIN = '<!-- table: written by npm run gameday -- --write -->';
const END = '<!-- table: end -->';

/** The rows as a table of a page. */
function markdown(rows: readonly Row[]): string {
  const cell = (text: string) => text.replaceAll('\n', '<br>').replaceAll('|', '\\|');
  const lines = rows.map(({ scenario, outcome, missing }) => {
    if (outcome === null) return [scenario.name, `not played: this machine lacks ${missing}`, '', '', '', '', ''];
    const { during, recoveredS, wronglyAllowed, notes } = outcome;
    return [
      [scenario.name, ...notes.filter((line) => !line.startsWith('log: '))].join('\n'),
      seen(during),
      `${during.retriedFailed} of ${during.retried}`,
      managed(during),
      said(outcome),
      recoveredS === null ? 'never' : `${recoveredS.toFixed(1)} s`,
      String(wronglyAllowed),
    ];
  });
  const head = [
    'fault',
    'answers to questions, no retries',
    'calls of the client library that failed',
    'keys',
    'metrics and alerts',
    'whole again after',
    'wrongly allowed',
  ];
  return [head, head.map(() => '---'), ...lines].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n');
}

function withTable(page: string, table: string): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`${PAGE} has no place for the table`);
  return `${page.slice(0, begin)}${BEGIN}\n\n${table}\n\n${page.slice(end)}`;
}

const prometheus = findPeer('prometheus');
if (prometheus === null) console.error('Prometheus is not installed: alerts are not evaluated, metrics are.');
const chosen = SCENARIOS.filter(({ name, setting }) => `${name} ${setting}`.includes(values.only));
const rows: Row[] = [];
let setting: Setting | null = null;
let world: World | { readonly missing: string } | null = null;
const closeWorld = async () => {
  if (world !== null && !('missing' in world)) await world.close();
  world = null;
};
try {
  for (const scenario of chosen) {
    if (scenario.setting !== setting || world === null) {
      await closeWorld();
      setting = scenario.setting;
      world = await startSetting(setting);
    }
    console.error(`playing: ${scenario.name}`);
    if ('missing' in world) rows.push({ scenario, outcome: null, problems: [], missing: world.missing });
    else rows.push(await play(scenario, world, prometheus));
    const row = rows.at(-1);
    for (const problem of row?.problems ?? []) console.error(`  !! ${problem}`);
    for (const note of row?.outcome?.notes ?? []) console.error(`  ${note}`);
  }
} finally {
  await closeWorld();
  await endSettings();
}
console.log(show(rows));
if (values.json !== undefined) {
  const report = rows.map(({ scenario, ...row }) => ({ fault: scenario.name, setting: scenario.setting, ...row }));
  await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);
}
if (values.write) {
  const played = `Recorded ${new Date().toISOString().slice(0, 10)} on ${cpus().length} cores, Node.js ${process.version}, faults of at least ${values.seconds} s.`;
  await writeFile(PAGE, withTable(await readFile(PAGE, 'utf8'), `${played}\n\n${markdown(rows)}`));
}
// Again at the end, where whoever reads only that finds them.
for (const { scenario, problems } of rows) {
  for (const problem of problems) console.log(`game day: ${scenario.name}: ${problem}`);
}
const bad = rows.filter(({ problems }) => problems.length > 0).length;
const played = rows.filter(({ outcome }) => outcome !== null).length;
const wrong = rows.reduce((sum, { outcome }) => sum + (outcome?.wronglyAllowed ?? 0), 0);
console.log(
  `game day: ${played} of ${rows.length} faults played, ${wrong} calls wrongly allowed, ${bad} with problems`,
);
process.exitCode = bad > 0 || played === 0 ? 1 : 0;
