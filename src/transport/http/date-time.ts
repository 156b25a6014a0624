const DATE_TIME = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/** The first and the last instant that RFC 3339 can write, whose years have four digits; ms since the Unix epoch. */
const DATE_TIME_MIN_MS = -62_167_219_200_000;
export const DATE_TIME_MAX_MS = 253_402_300_799_999;

/**
 * Parses an RFC 3339 date-time into ms since the Unix epoch; `null` for anything else, impossible dates included, and
 * what could not be written in UTC again: the last hours of the year 9999 west of Greenwich.
 *
 * Digits beyond the millisecond are dropped. A leap second counts as the second after it, as POSIX time has it.
 */
export function parseDateTime(text: string): number | null {
  const match = DATE_TIME.exec(text);
  if (match === null) return null;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const offsetHour = Number(match[9] ?? 0);
  const offsetMinute = Number(match[10] ?? 0);
  if (hour > 23 || minute > 59 || second > 60 || offsetHour > 23 || offsetMinute > 59) return null;
  const midnight = new Date(0);
  // Not `Date.UTC`, which takes the years 0 to 99 for 1900 to 1999.
  midnight.setUTCFullYear(year, month - 1, day);
  if (midnight.getUTCMonth() !== month - 1 || midnight.getUTCDate() !== day) return null;
  const offsetMs = (match[8] === '-' ? -1 : 1) * (offsetHour * 60 + offsetMinute) * 60_000;
  const fractionMs = Math.trunc(Number(`0.${match[7] ?? '0'}`) * 1000);
  const ms = midnight.getTime() + ((hour * 60 + minute) * 60 + second) * 1000 + fractionMs - offsetMs;
  return ms < DATE_TIME_MIN_MS || ms > DATE_TIME_MAX_MS ? null : ms;
}

/**
 * Writes ms since the Unix epoch as RFC 3339 in UTC. Never throws: what other writers of the database put before the
 * year 0 or after 9999 is shown as the first or last instant that there is a text for.
 */
export function formatDateTime(ms: number): string {
  return new Date(Math.min(Math.max(ms, DATE_TIME_MIN_MS), DATE_TIME_MAX_MS)).toISOString();
}
