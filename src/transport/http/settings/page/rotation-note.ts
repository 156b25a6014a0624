import type { ApiKey, CreatedApiKey } from './api.js';
import type { DateFormat } from './dates.js';
import { overlapText } from './overlaps.js';
import { receiptText } from './receipt-text.js';

/** What became of the key that a rotation replaced, e.g. `Replaces nk_live_4be1…, which stops working after 1 hour.` */
export function rotationNote(
  old: ApiKey,
  replacement: CreatedApiKey,
  overlapSeconds: number,
  dates: DateFormat,
  nowMs: number,
): string {
  const replaces = `Replaces ${old.key_prefix}…`;
  if (overlapSeconds === 0) {
    return replacement.receipt
      ? `${replaces}: ${receiptText(replacement.receipt).headline.toLowerCase()}.`
      : `${replaces}, which is refused everywhere.`;
  }
  // An overlap never makes a key live longer than it would have.
  const expiresMs = old.expires_at === null ? Number.POSITIVE_INFINITY : Date.parse(old.expires_at);
  const fate =
    expiresMs < nowMs + overlapSeconds * 1000
      ? `expires ${dates.future(expiresMs, nowMs).text}`
      : `stops working ${overlapText(overlapSeconds)}`;
  return `${replaces}, which ${fate}.`;
}
