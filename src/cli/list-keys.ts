import { permissionNames } from '../domain/permissions.js';
import type { KeyCursor, KeyDetails } from '../ports/key-registry.js';
import { formatDateTime } from '../transport/http/date-time.js';
import { keyView } from '../transport/http/key-view.js';
import type { CliContext } from './cli-context.js';
import { commandConfig } from './command-config.js';
import { accountOf, withKeyService } from './key-service.js';
import { done, type Outcome } from './outcome.js';
import { table } from './table.js';

/** Keys read at a time. */
const PAGE_SIZE = 1000;

export interface ListKeysOptions {
  readonly account?: string;
  readonly revoked?: boolean;
}

/** `latchkey keys list`. */
export async function listKeys(context: CliContext, options: ListKeysOptions): Promise<Outcome> {
  const config = commandConfig(context);
  const accountId = accountOf(config, options.account);
  const includeRevoked = options.revoked === true;
  const found = await withKeyService(context, config, async (keys) => {
    const all: KeyDetails[] = [];
    let after: KeyCursor | null = null;
    do {
      const page = await keys.list({ accountId, includeRevoked, limit: PAGE_SIZE, after });
      all.push(...page.keys);
      after = page.nextAfter;
    } while (after !== null);
    return all;
  });
  const nowMs = context.clock.wallMs();
  const text =
    found.length === 0
      ? `Account ${accountId} has no ${includeRevoked ? '' : 'active '}keys.`
      : table(
          ['ID', 'NAME', 'PREFIX', 'SCOPE', 'PERMISSIONS', 'CREATED', 'LAST USED', 'STATE'],
          found.map((key) => [
            key.id,
            key.name,
            `${key.keyPrefix}…`,
            key.workflowId ?? 'all workflows',
            permissionNames(key.permissions).join(','),
            formatDateTime(key.createdAtMs),
            key.lastUsedAtMs === null ? 'never' : formatDateTime(key.lastUsedAtMs),
            stateOf(key, nowMs),
          ]),
        );
  return done(found.map(keyView), text);
}

function stateOf(key: KeyDetails, nowMs: number): string {
  if (key.revokedAtMs !== null) return `revoked ${formatDateTime(key.revokedAtMs)}`;
  if (key.expiresAtMs === null) return 'active';
  return `${nowMs < key.expiresAtMs ? 'expires' : 'expired'} ${formatDateTime(key.expiresAtMs)}`;
}
