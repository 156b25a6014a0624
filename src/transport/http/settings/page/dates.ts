const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A key that was not used for this long is marked. */
export const UNUSED_AFTER_MS = 90 * DAY;

/** Beyond this a date says more than a distance. */
const RELATIVE_UP_TO_MS = 45 * DAY;

/** What is read of a date: a short text for the line, and the exact time for its tooltip. */
export interface DateText {
  readonly text: string;
  readonly exact: string;
}

/** Writes dates for one reader: the words in English as the page is, dates and times as the reader's locale has them. */
export interface DateFormat {
  /** E.g. `3 days ago`, or `12 Mar 2026`; never in the future, whatever the two clocks say. */
  past(atMs: number, nowMs: number): DateText;
  /** E.g. `in 3 days`, or `12 Mar 2027`; never in the past. */
  future(atMs: number, nowMs: number): DateText;
  /** E.g. `12 Mar 2027`. */
  day(atMs: number): string;
}

/** @param locales the reader's languages, as `navigator.languages` gives them */
export function createDateFormat(locales: readonly string[], timeZone?: string): DateFormat {
  const zone = timeZone === undefined ? {} : { timeZone };
  const own = [...locales];
  const english = own.find((locale) => /^en\b/i.test(locale)) ?? 'en';
  const distance = new Intl.RelativeTimeFormat(english, { numeric: 'always' });
  const day = new Intl.DateTimeFormat(own, { dateStyle: 'medium', ...zone });
  const exact = new Intl.DateTimeFormat(own, { dateStyle: 'full', timeStyle: 'long', ...zone });

  function far(ms: number, sign: 1 | -1): string | null {
    // What is ahead is rounded: a key made for 3 days reads `in 3 days` a moment later.
    const whole = sign < 0 ? Math.floor : Math.round;
    if (ms >= RELATIVE_UP_TO_MS) return null;
    const minutes = Math.max(1, whole(ms / MINUTE));
    if (minutes < 60) return distance.format(sign * minutes, 'minute');
    const hours = whole(ms / HOUR);
    if (hours < 24) return distance.format(sign * hours, 'hour');
    return distance.format(sign * whole(ms / DAY), 'day');
  }

  return {
    past(atMs, nowMs) {
      const ms = Math.max(0, nowMs - atMs);
      return { text: ms < MINUTE ? 'just now' : (far(ms, -1) ?? day.format(atMs)), exact: exact.format(atMs) };
    },
    future(atMs, nowMs) {
      const ms = Math.max(0, atMs - nowMs);
      return { text: far(ms, 1) ?? day.format(atMs), exact: exact.format(atMs) };
    },
    day: (atMs) => day.format(atMs),
  };
}
