import { formatDateTime } from '../transport/http/date-time.js';
import type { CliContext } from './cli-context.js';
import { commandConfig } from './command-config.js';
import { withKeyService } from './key-service.js';
import { done, type Outcome } from './outcome.js';
import { table } from './table.js';

/** `latchkey keys history`. */
export async function showHistory(context: CliContext, keyId: string): Promise<Outcome> {
  const config = commandConfig(context);
  const entries = await withKeyService(context, config, (keys) => keys.history(keyId));
  return done(
    entries.map((entry) => ({
      at: formatDateTime(entry.atMs),
      action: entry.action,
      key_id: entry.keyId,
      account_id: entry.accountId,
      actor: entry.actor,
      origin: entry.origin,
      details: entry.details,
    })),
    table(
      ['AT', 'ACTION', 'ACTOR', 'FROM', 'DETAILS'],
      entries.map((entry) => [
        formatDateTime(entry.atMs),
        entry.action,
        entry.actor,
        entry.origin ?? '',
        Object.entries(entry.details)
          .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
          .join(' '),
      ]),
    ),
  );
}
