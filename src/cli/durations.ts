const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

/** How a duration is written, to follow "must be". */
export const DURATION_FORM = 'a duration like 90s, 15m, 24h, 30d or 2w';

/** Reads a duration of the form {@link DURATION_FORM} as ms; `0` needs no unit. `undefined` when it is none. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  const match = /^(\d{1,9})([smhdw])$/.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS];
}
