import type { BenchDatabases } from './bench-databases.js';

/** One measured number with its unit, e.g. `{ value: 278, unit: 'ns' }`. */
export interface Quantity {
  readonly value: number;
  readonly unit: string;
}

/** One thing that is measured, as a rule against one bound. */
export interface Finding {
  /** What was measured, in a few words. */
  readonly what: string;
  readonly measured: Quantity;
  /** The ceiling of the same run, where the bound is relative to one. */
  readonly ceiling?: Quantity & { readonly what: string };
  /** The number that is held against the bound: a ratio to the ceiling, or the measured value itself. */
  readonly score: number;
  /** Absent where there is no target, and the number is for information. */
  readonly bound?: { readonly atMost: number } | { readonly atLeast: number };
  /** Percentiles and other detail, for the JSON and the page. */
  readonly detail?: Readonly<Record<string, number | string>>;
}

/** Lines over one axis, for a picture of their own. */
export interface Curve {
  /** Part of the file's name. */
  readonly name: string;
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** Both axes grow by factors instead of by steps. */
  readonly logarithmic?: boolean;
  readonly lines: readonly { readonly label: string; readonly points: readonly (readonly [number, number])[] }[];
}

/** What a row may use. */
export interface BenchContext {
  /** Also what takes many minutes. */
  readonly full: boolean;
  /** Fewer rounds: to see that everything runs, and roughly how fast. */
  readonly quick: boolean;
  /** How long a soak lasts. */
  readonly minutes: number;
  /** Tells the person who waits what is going on. */
  readonly say: (line: string) => void;
  /** Databases on a server of the run's own. */
  readonly databases: BenchDatabases;
  /** Adds a picture to the report. */
  readonly draw: (curve: Curve) => void;
}

/** One row of the table: a scenario that is measured by itself. */
export interface Row {
  /** As in `--only=`. */
  readonly name: string;
  readonly title: string;
  /** How it is measured, for the page. */
  readonly method: string;
  /** Runs only when `--only` names it. */
  readonly onRequest?: boolean;
  /** Runs it. Rejects with `Unmeasurable` when something that it needs is missing. */
  run(context: BenchContext): Promise<readonly Finding[]>;
}

/** A row that cannot be measured here; the message says what is missing. */
export class Unmeasurable extends Error {
  override readonly name = 'Unmeasurable';
}

/** Reports whether a finding keeps its bound; one without a bound always does. */
export function isMet({ score, bound }: Finding): boolean {
  if (bound === undefined) return true;
  return 'atMost' in bound ? score <= bound.atMost : score >= bound.atLeast;
}
