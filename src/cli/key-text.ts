import { permissionNames } from '../domain/permissions.js';
import type { Receipt } from '../ports/barrier.js';
import type { KeyDetails } from '../ports/key-registry.js';
import { formatDateTime } from '../transport/http/date-time.js';
import { receiptView } from '../transport/http/receipt-view.js';
import { pairs } from './table.js';

/** A new key with the only sight of its raw key. */
export function newKeyText(key: KeyDetails, rawKey: string): string {
  return [
    'API key created. Copy it now: it is not shown again.',
    `  ${rawKey}`,
    pairs([
      ['id', key.id],
      ['name', key.name],
      ['account', key.accountId],
      ['scope', key.workflowId ?? 'all workflows'],
      ['permissions', permissionNames(key.permissions).join(',')],
      ['expires', key.expiresAtMs === null ? 'never' : formatDateTime(key.expiresAtMs)],
    ]),
  ].join('\n\n');
}

/** What was proven about a revocation. */
export function receiptText(receipt: Receipt): string {
  const view = receiptView(receipt);
  return pairs([
    ['sequence', String(view.sequence)],
    ['committed at', view.committed_at],
    ['confirmed in', `${view.confirmed_in_ms} ms`],
    ['sidecars', `${view.sidecars.acknowledged} acknowledged, ${view.sidecars.expired} expired`],
    ['slowest answer', view.slowest_ack_ms === null ? 'none' : `${view.slowest_ack_ms} ms`],
  ]);
}
