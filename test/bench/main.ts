import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { plotFindings } from './plot.js';
import { type Finding, isMet, type Row, Unmeasurable } from './row.js';
import { ROWS } from './rows.js';

const HELP = `Measures the sidecar against ceilings that the same run measures, on the same cores.

  npm run bench                       every row, then a table
  npm run bench -- --only=NAME,NAME   some rows: ${ROWS.map(({ name }) => name).join(', ')}
  npm run bench -- --json=FILE        also as JSON
  npm run bench -- --plot=FILE        also as a picture (SVG)
  npm run bench -- --full             also what takes many minutes

Ends with status 1 when a bound was missed, 2 when a row could not be measured.`;

/** What became of one row. */
interface Outcome {
  readonly row: Row;
  readonly findings: readonly Finding[];
  /** Why it could not be measured. */
  readonly obstacle: string | null;
}

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    json: { type: 'string' },
    plot: { type: 'string' },
    full: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (options.help) console.log(HELP);
else process.exitCode = await bench();

async function bench(): Promise<number> {
  const only = options.only?.split(',');
  const unknown = only?.filter((name) => !ROWS.some((row) => row.name === name)) ?? [];
  if (unknown.length > 0) {
    console.error(`no row is called ${unknown.join(', ')}; there are ${ROWS.map(({ name }) => name).join(', ')}`);
    return 2;
  }
  const outcomes: Outcome[] = [];
  for (const row of ROWS.filter(({ name }) => only?.includes(name) ?? true)) {
    console.error(`${row.title} …`);
    outcomes.push(await measure(row));
  }
  print(outcomes);
  const report = {
    machine: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`,
    node: process.version,
    at: new Date().toISOString(),
    rows: outcomes.map(({ row, findings, obstacle }) => ({
      name: row.name,
      title: row.title,
      obstacle,
      findings: findings.map((finding) => ({ ...finding, met: isMet(finding) })),
    })),
  };
  if (options.json !== undefined) write(options.json, `${JSON.stringify(report, null, 2)}\n`);
  if (options.plot !== undefined) {
    const caption = `${report.machine}, Node.js ${report.node}, ${report.at.slice(0, 10)}`;
    write(
      options.plot,
      plotFindings(
        outcomes.flatMap(({ row, findings }) => findings.map((finding) => ({ row, finding }))),
        caption,
      ),
    );
  }
  if (outcomes.some(({ obstacle }) => obstacle !== null)) return 2;
  return outcomes.every(({ findings }) => findings.every(isMet)) ? 0 : 1;
}

async function measure(row: Row): Promise<Outcome> {
  try {
    const findings = await row.run({ full: options.full, say: (line) => console.error(`  ${line}`) });
    return { row, findings, obstacle: null };
  } catch (error) {
    if (!(error instanceof Unmeasurable)) throw error;
    console.error(`  not measured: ${error.message}`);
    return { row, findings: [], obstacle: error.message };
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
        'atMost' in bound ? `≤ ${number(bound.atMost)}` : `≥ ${number(bound.atLeast)}`,
        isMet(finding) ? 'met' : 'MISSED',
      ]);
    }
  }
  console.log(`${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}, Node.js ${process.version}`);
  console.log(table.toString());
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
