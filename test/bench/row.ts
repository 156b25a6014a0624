/** One measured number with its unit, e.g. `{ value: 278, unit: 'ns' }`. */
export interface Quantity {
  readonly value: number;
  readonly unit: string;
}

/** One thing that is measured against one bound. */
export interface Finding {
  /** What was measured, in a few words. */
  readonly what: string;
  readonly measured: Quantity;
  /** The ceiling of the same run, where the bound is relative to one. */
  readonly ceiling?: Quantity & { readonly what: string };
  /** The number that is held against the bound: a ratio to the ceiling, or the measured value itself. */
  readonly score: number;
  readonly bound: { readonly atMost: number } | { readonly atLeast: number };
  /** Percentiles and other detail, for the JSON and the page. */
  readonly detail?: Readonly<Record<string, number | string>>;
}

/** What a row may use. */
export interface BenchContext {
  /** Also what takes many minutes. */
  readonly full: boolean;
  /** Tells the person who waits what is going on. */
  readonly say: (line: string) => void;
}

/** One row of the table: a scenario that is measured by itself. */
export interface Row {
  /** As in `--only=`. */
  readonly name: string;
  readonly title: string;
  /** Runs it. Rejects with `Unmeasurable` when something that it needs is missing. */
  run(context: BenchContext): Promise<readonly Finding[]>;
}

/** A row that cannot be measured here; the message says what is missing. */
export class Unmeasurable extends Error {
  override readonly name = 'Unmeasurable';
}

/** Reports whether a finding keeps its bound. */
export function isMet({ score, bound }: Finding): boolean {
  return 'atMost' in bound ? score <= bound.atMost : score >= bound.atLeast;
}
