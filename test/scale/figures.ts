import type { Calculated, Costs } from './calculate.js';
import type { summaryOf } from './measure.js';

const BEGIN = '<!-- figures: written by npm run scale -- --write -->';
const END = '<!-- figures: end -->';

/** Three significant digits. */
function short(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

/** What docs/scale.md shows of a run, in Markdown. */
export interface Figures {
  readonly conditions: string;
  readonly measured: readonly ReturnType<typeof summaryOf>[];
  readonly costs: Costs;
  readonly calculated: readonly Calculated[];
}

function markdownOf({ conditions, measured, costs, calculated }: Figures): string {
  const fleets = measured.map((fleet) => [
    String(fleet.sidecars),
    fleet.load === 0 ? 'idle' : 'busy',
    short(fleet.renewalsPerS),
    short(fleet.calmCores * 100),
    short(fleet.bareCommitMs.p50),
    ...(['p50', 'p90', 'p99', 'max'] as const).map((share) => short(fleet.barrierMs[share])),
    short(fleet.totalMs.p50),
    short(fleet.totalMs.p99),
    short(fleet.cpuMsPerRevocation),
    String(fleet.waitedOut),
  ]);
  const sizes = calculated.map((fleet) => [
    fleet.sidecars.toLocaleString('en'),
    short(fleet.renewalsPerS),
    short(fleet.renewalCores),
    short(fleet.cpuMsPerRevocation),
    ...(['2', '8', '32'] as const).map((cores) =>
      Number.isFinite(fleet.barrierMsOn[cores]) ? `${short(fleet.barrierMsOn[cores])} ms` : 'never',
    ),
    fleet.connections.toLocaleString('en'),
  ]);
  return [
    conditions,
    '',
    table(
      [
        'sidecars',
        'load',
        'renewals/s',
        'PostgreSQL, % of a core',
        'bare commit p50',
        'barrier p50',
        'p90',
        'p99',
        'max',
        'DELETE to proof p50',
        'p99',
        'PostgreSQL CPU a revocation',
        'waited out',
      ],
      fleets,
    ),
    '',
    `Times in ms. Fitted to the idle fleets, PostgreSQL spends ${short(costs.cpuMsPerRenewal)} ms of CPU on a renewal, and on a revocation`,
    `${short(costs.cpuMsPerRevocation)} ms plus ${short(costs.cpuMsPerAcknowledgement)} ms for each sidecar that hears of it, reads it and acknowledges it. From that:`,
    '',
    table(
      [
        'sidecars',
        'renewals/s',
        'cores for renewals',
        'CPU ms a revocation',
        'barrier at least, 2 cores',
        '8 cores',
        '32 cores',
        'direct connections',
      ],
      sizes,
    ),
  ].join('\n');
}

/** The page with the figures of a run in place of the old ones. */
export function withFigures(page: string, figures: Figures): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) throw new Error('the page has no place for figures');
  return `${page.slice(0, begin)}${BEGIN}\n\n${markdownOf(figures)}\n\n${page.slice(end)}`;
}
