import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { BenchDatabases } from './bench-databases.js';
import { compare } from './compare.js';
import { plotFindings } from './plot.js';
import { plotCurve } from './plot-curve.js';
import { type Curve, type Finding, isMet, type Row, Unmeasurable } from './row.js';
import { ROWS } from './rows.js';

const HELP = `Measures the sidecar against ceilings that the same run measures, on the same cores.

  npm run bench                       every row, then a table
  npm run bench -- --only=NAME,NAME   some rows: ${names()}
  npm run bench -- --json=FILE        also as JSON
  npm run bench -- --images=DIR       also as pictures (SVG)
  npm run bench -- --quick            fewer rounds
  npm run bench -- --full             also what takes many minutes: ten million keys
  npm run bench -- --only=soak --minutes=10
  npm run bench -- --compare=REV      the rows named by --only of another revision and of this one, in turns

Ends with status 1 when a bound was missed, 2 when a row could not be measured.`;

/** What became of one row. */
interface Outcome {
  readonly row: Row;
  /** When it began. */
  readonly at: string;
  readonly findings: readonly Finding[];
  readonly curves: readonly Curve[];
  /** Why it could not be measured. */
  readonly obstacle: string | null;
}

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    json: { type: 'string' },
    images: { type: 'string' },
    full: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '1' },
    compare: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

if (options.help) console.log(HELP);
else if (options.compare !== undefined)
  process.exitCode = await compare(options.compare, options.only ?? 'decision,unary');
else process.exitCode = await bench();

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
  }
  print(outcomes);
  report(outcomes);
  if (outcomes.some(({ obstacle }) => obstacle !== null)) return 2;
  return outcomes.every(({ findings }) => findings.every(isMet)) ? 0 : 1;
}

function report(outcomes: readonly Outcome[]): void {
  const caption = `${machine()}, Node.js ${process.version}, ${new Date().toISOString().slice(0, 16)}Z`;
  if (options.json !== undefined) {
    const rows = outcomes.map(({ row, at, findings, curves, obstacle }) => ({
      name: row.name,
      title: row.title,
      method: row.method,
      at,
      obstacle,
      findings: findings.map((finding) => ({ ...finding, met: isMet(finding) })),
      curves,
    }));
    const text = { machine: machine(), node: process.version, load: loadavg(), rows };
    write(options.json, `${JSON.stringify(text, null, 2)}\n`);
  }
  if (options.images === undefined) return;
  const bounded = outcomes.flatMap(({ row, findings }) =>
    findings.filter(({ bound }) => bound !== undefined).map((finding) => ({ row, finding })),
  );
  if (bounded.length > 0) write(`${options.images}/bench.svg`, plotFindings(bounded, caption));
  for (const curve of outcomes.flatMap(({ curves }) => curves)) {
    write(`${options.images}/bench-${curve.name}.svg`, plotCurve(curve, caption));
  }
}

async function measure(row: Row): Promise<Outcome> {
  const databases = new BenchDatabases();
  const curves: Curve[] = [];
  const at = new Date().toISOString();
  try {
    const findings = await row.run({
      full: options.full,
      quick: options.quick,
      minutes: Number(options.minutes),
      say: (line) => console.error(`  ${line}`),
      databases,
      draw: (curve) => curves.push(curve),
    });
    return { row, at, findings, curves, obstacle: null };
  } catch (error) {
    if (!(error instanceof Unmeasurable)) throw error;
    console.error(`  not measured: ${error.message}`);
    return { row, at, findings: [], curves, obstacle: error.message };
  } finally {
    await databases.destroy();
  }
}

function print(outcomes: readonly Outcome[]): void {
  const table = new Table({
    head: ['row', 'what', 'measured', 'ceiling', 'score', 'bound', ''],
    style: { head: [], border: [] },
  });
  for (const { row, findings, obstacle } of outcomes) {
    if (obstacle !== null) table.push([row.name, { content: obstacle, colSpan: 5 }, 'not measured']);
    for (const finding of findings) {
      const { what, measured, ceiling, score, bound } = finding;
      table.push([
        row.name,
        what,
        `${number(measured.value)} ${measured.unit}`,
        ceiling === undefined ? '' : `${number(ceiling.value)} ${ceiling.unit}: ${ceiling.what}`,
        number(score),
        bound === undefined ? '' : 'atMost' in bound ? `≤ ${number(bound.atMost)}` : `≥ ${number(bound.atLeast)}`,
        bound === undefined ? '' : isMet(finding) ? 'met' : 'MISSED',
      ]);
    }
  }
  console.log(`${machine()}, Node.js ${process.version}`);
  console.log(table.toString());
}

function names(): string {
  return ROWS.map(({ name }) => name).join(', ');
}

function machine(): string {
  return `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`;
}

/** Three figures that mean something. */
function number(value: number): string {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}

function write(file: string, text: string): void {
  mkdirSync(new URL('.', new URL(file, `file://${process.cwd()}/`)), { recursive: true });
  writeFileSync(file, text);
}
