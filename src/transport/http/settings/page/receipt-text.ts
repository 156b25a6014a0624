import type { Receipt } from './api.js';

/** What was proven, for people: a headline such as `Refused everywhere after 4 ms`, and by whom. */
export interface ReceiptText {
  readonly headline: string;
  readonly detail: string;
}

export function receiptText(receipt: Receipt): ReceiptText {
  const { acknowledged, expired } = receipt.sidecars;
  const headline = `Refused everywhere after ${duration(receipt.confirmed_in_ms)}`;
  if (acknowledged + expired === 0) return { headline, detail: 'No sidecar was running.' };
  const confirmed = `${sidecars(acknowledged)} confirmed it.`;
  if (expired === 0) return { headline, detail: confirmed };
  const silent = `${acknowledged === 0 ? sidecars(expired) : expired} did not answer; ${
    expired === 1 ? 'its right' : 'their right'
  } to accept keys from memory has run out, so the key is refused there too.`;
  return { headline, detail: acknowledged === 0 ? silent : `${confirmed} ${silent}` };
}

function sidecars(count: number): string {
  return count === 1 ? '1 sidecar' : `${count} sidecars`;
}

function duration(ms: number): string {
  if (ms < 1) return 'less than 1 ms';
  if (Math.round(ms) < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(1)} s`;
}
