import { keyView } from '../transport/http/key-view.js';
import { receiptView } from '../transport/http/receipt-view.js';
import type { CliContext } from './cli-context.js';
import { commandConfig } from './command-config.js';
import { actorOf, withKeyService } from './key-service.js';
import { receiptText } from './key-text.js';
import { done, type Outcome } from './outcome.js';

/** `latchkey keys revoke`. Ends after the barrier: no sidecar anywhere accepts the key from then on. */
export async function revokeKey(context: CliContext, keyId: string): Promise<Outcome> {
  const config = commandConfig(context);
  const { key, alreadyRevoked, receipt } = await withKeyService(context, config, (keys) =>
    keys.revoke(keyId, null, actorOf(context)),
  );
  const what = alreadyRevoked ? 'had been revoked before; it' : 'is revoked. It';
  return done(
    { success: true, already_revoked: alreadyRevoked, key: keyView(key), receipt: receiptView(receipt) },
    `Key ${key.id} (${key.keyPrefix}…) ${what} is refused everywhere.\n\n${receiptText(receipt)}`,
  );
}
