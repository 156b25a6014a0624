import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname } from 'node:path';
import { formatNumber } from './format-number.js';
import { type Curve, type Finding, isMet } from './row.js';

/** What became of one row. */
export interface Outcome {
  readonly name: string;
  readonly title: string;
  readonly method: string;
  /** When it began, ISO 8601. */
  readonly at: string;
  /** Processes that wanted a core when it ended, averaged over a minute: the row's own and others'. */
  readonly loadAverage: number;
  readonly machine: string;
  readonly node: string;
  /** Why it could not be measured. */
  readonly obstacle: string | null;
  readonly findings: readonly Finding[];
  readonly curves: readonly Curve[];
}

/** The machine, for captions. */
export function machine(): string {
  return `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`;
}

/** Writes outcomes as JSON into a file; rows that it has from other runs, and that were not measured anew, stay. */
export function writeJson(file: string, outcomes: readonly Outcome[], order: readonly string[]): readonly Outcome[] {
  const old = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { rows: Outcome[] }).rows : [];
  const kept = old.filter(({ name }) => !outcomes.some((outcome) => outcome.name === name));
  const rows = [...kept, ...outcomes].sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  writeText(file, `${JSON.stringify({ rows }, null, 2)}\n`);
  return rows;
}

const BEGIN = '<!-- figures: written by npm run bench -- --write -->';
const END = '<!-- figures: end -->';

/** Replaces the figures of a page. */
export function writePage(file: string, rows: readonly Outcome[]): void {
  const page = readFileSync(file, 'utf8');
  const from = page.indexOf(BEGIN);
  const to = page.indexOf(END);
  if (from < 0 || to < from) throw new Error(`${file} has no place for the figures`);
  writeText(file, `${page.slice(0, from)}${BEGIN}\n${markdown(rows)}\n${page.slice(to)}`);
}

export function writeText(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

/** A bound, or nothing, e.g. `≥ 0.9`. */
export function boundText({ bound }: Finding): string {
  if (bound === undefined) return '';
  return 'atMost' in bound ? `≤ ${formatNumber(bound.atMost)}` : `≥ ${formatNumber(bound.atLeast)}`;
}

/** Whether it was kept, and by how much it was missed. */
export function verdictText(finding: Finding): string {
  const { bound, score } = finding;
  if (bound === undefined) return '';
  if (isMet(finding)) return 'met';
  const limit = 'atMost' in bound ? bound.atMost : bound.atLeast;
  return limit === 0 ? 'MISSED' : `MISSED by ${Math.round(Math.abs(score / limit - 1) * 100)} %`;
}

function markdown(rows: readonly Outcome[]): string {
  const table = rows.flatMap(({ name, findings, obstacle }) => [
    ...(obstacle === null ? [] : [`| ${name} | ${obstacle} | | | | | not measured |`]),
    ...findings.map((finding) => {
      const { what, measured, ceiling, score } = finding;
      const against = ceiling === undefined ? '' : `${formatNumber(ceiling.value)} ${ceiling.unit}: ${ceiling.what}`;
      return `| ${name} | ${what} | ${`${formatNumber(measured.value)} ${measured.unit}`.trim()} | ${against} | ${formatNumber(score)} | ${boundText(finding)} | ${verdictText(finding)} |`;
    }),
  ]);
  const details = rows.map(({ name, method, at, loadAverage, machine: where, node, findings }) => {
    const lines = findings
      .filter(({ detail }) => detail !== undefined)
      .map(({ what, detail }) => {
        const values = Object.entries(detail ?? {}).map(
          ([key, value]) => `${words(key)} ${typeof value === 'number' ? formatNumber(value) : value}`,
        );
        return `  - ${what}: ${values.join(', ')}`;
      });
    const conditions = `${at.slice(0, 16).replace('T', ' ')} UTC, ${where}, Node.js ${node}, load average at the end ${formatNumber(loadAverage)}`;
    return [`- **${name}**. ${method} (${conditions})`, ...lines].join('\n');
  });
  return [
    '| row | what | measured | ceiling in the same run | score | target | |',
    '|---|---|---|---|---|---|---|',
    ...table,
    '',
    'How each was measured, and what else was seen:',
    '',
    ...details,
  ].join('\n');
}

/** `p99MsOneWorker` → `p99 ms one worker`. */
function words(key: string): string {
  return key.replace(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`);
}
