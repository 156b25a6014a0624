import type { Receipt } from '../../ports/barrier.js';
import { formatDateTime } from './date-time.js';

/** A receipt as JSON has it. */
export interface ReceiptView {
  readonly sequence: number;
  readonly committed_at: string;
  readonly confirmed_in_ms: number;
  readonly sidecars: { readonly acknowledged: number; readonly expired: number };
  readonly slowest_ack_ms: number | null;
}

/** Shows a receipt. */
export function receiptView(receipt: Receipt): ReceiptView {
  return {
    // Exact up to 2^53 changes: a million a second for 285 years.
    sequence: Number(receipt.sequence),
    committed_at: formatDateTime(receipt.committedAtMs),
    confirmed_in_ms: toMicroseconds(receipt.confirmedInMs),
    sidecars: { acknowledged: receipt.sidecars.acknowledged, expired: receipt.sidecars.expired },
    slowest_ack_ms: receipt.slowestAckMs === null ? null : toMicroseconds(receipt.slowestAckMs),
  };
}

function toMicroseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
