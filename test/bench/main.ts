import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { BenchDatabases } from './bench-databases.js';
import { compare } from './compare.js';
import { formatNumber } from './format-number.js';
import { plotFindings } from './plot.js';
import { plotCurve } from './plot-curve.js';
import { boundText, machine, type Outcome, verdictText, writeJson, writePage, writeText } from './report.js';
import { type Curve, type Finding, isMet, type Row, Unmeasurable } from './row.js';
import { ROWS } from './rows.js';

const HELP = `Measures the sidecar against ceilings that the same run measures, on the same cores.

  npm run bench                       every row, then a table
  npm run bench -- --only=NAME,NAME   some rows: ${names()}
  npm run bench -- --quick            fewer rounds
  npm run bench -- --full             also what takes many minutes: ten million keys
  npm run bench -- --only=soak --minutes=10
  npm run bench -- --json=FILE        also as JSON; rows of FILE that are not measured now stay
  npm run bench -- --images=DIR       also as pictures (SVG)
  npm run bench -- --write            into docs/: bench.json, images/ and the figures of performance.md
  npm run bench -- --compare=REV      the rows named by --only of another revision and of this one, in turns

Ends with status 1 when a target was missed, 2 when a row could not be measured.`;

const DOCS = { json: 'docs/bench.json', images: 'docs/images', page: 'docs/performance.md' };

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    json: { type: 'string' },
    images: { type: 'string' },
    write: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '1' },
    compare: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

if (options.help) console.log(HELP);
else if (options.compare === undefined) process.exitCode = await bench();
else process.exitCode = await compare(options.compare, options.only ?? 'decision,unary');

async function bench(): Promise<number> {
  const only = options.only?.split(',');
  const unknown = only?.filter((name) => !ROWS.some((row) => row.name === name)) ?? [];
  if (unknown.length > 0) {
    console.error(`no row is called ${unknown.join(', ')}; there are ${names()}`);
    return 2;
  }
  const chosen = ROWS.filter(({ name, onRequest }) => only?.includes(name) ?? onRequest !== true);
  const outcomes: Outcome[] = [];
  for (const row of chosen) {
    console.error(`${row.title} …`);
    outcomes.push(await measure(row));
    // After each: a run that is broken off has written what it has.
    write(outcomes);
  }
  print(outcomes);
  if (outcomes.some(({ obstacle }) => obstacle !== null)) return 2;
  return outcomes.every(({ findings }) => findings.every(isMet)) ? 0 : 1;
}

async function measure(row: Row): Promise<Outcome> {
  const databases = new BenchDatabases();
  const curves: Curve[] = [];
  const at = new Date().toISOString();
  const outcome = (findings: readonly Finding[], obstacle: string | null): Outcome => ({
    name: row.name,
    title: row.title,
    method: row.method,
    at,
    loadAverage: loadavg()[0] ?? Number.NaN,
    machine: machine(),
    node: process.version,
    obstacle,
    findings,
    curves,
  });
  try {
    const findings = await row.run({
      full: options.full,
      quick: options.quick,
      minutes: Number(options.minutes),
      say: (line) => console.error(`  ${line}`),
      databases,
      draw: (curve) => curves.push(curve),
    });
    return outcome(findings, null);
  } catch (error) {
    if (!(error instanceof Unmeasurable)) throw error;
    console.error(`  not measured: ${error.message}`);
    return outcome([], error.message);
  } finally {
    await databases.destroy();
  }
}

function write(outcomes: readonly Outcome[]): void {
  const json = options.json ?? (options.write ? DOCS.json : undefined);
  const images = options.images ?? (options.write ? DOCS.images : undefined);
  const order = ROWS.map(({ name }) => name);
  const rows = json === undefined ? outcomes : writeJson(json, outcomes, order);
  if (options.write) writePage(DOCS.page, rows);
  if (images === undefined) return;
  const withTarget = rows.flatMap(({ name, findings }) =>
    findings.filter(({ bound }) => bound !== undefined).map((finding) => ({ name, finding })),
  );
  const day = new Date().toISOString().slice(0, 10);
  const caption = `${machine()}, Node.js ${process.version}, ${day}`;
  if (withTarget.length > 0) writeText(`${images}/bench.svg`, plotFindings(withTarget, caption));
  for (const { curves } of outcomes) {
    for (const curve of curves) writeText(`${images}/bench-${curve.name}.svg`, plotCurve(curve, caption));
  }
}

function print(outcomes: readonly Outcome[]): void {
  const table = new Table({
    head: ['row', 'what', 'measured', 'ceiling', 'score', 'target', ''],
    style: { head: [], border: [] },
  });
  for (const { name, findings, obstacle } of outcomes) {
    if (obstacle !== null) table.push([name, { content: obstacle, colSpan: 5 }, 'not measured']);
    for (const finding of findings) {
      const { what, measured, ceiling, score } = finding;
      table.push([
        name,
        what,
        `${formatNumber(measured.value)} ${measured.unit}`,
        ceiling === undefined ? '' : `${formatNumber(ceiling.value)} ${ceiling.unit}: ${ceiling.what}`,
        formatNumber(score),
        boundText(finding),
        verdictText(finding),
      ]);
    }
  }
  console.log(`${machine()}, Node.js ${process.version}`);
  console.log(table.toString());
}

function names(): string {
  return ROWS.map(({ name }) => name).join(', ');
}
