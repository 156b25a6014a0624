import { OVERLAP_SECONDS_MAX } from '../domain/overlap.js';
import { keyView } from '../transport/http/key-view.js';
import { receiptView } from '../transport/http/receipt-view.js';
import type { CliContext } from './cli-context.js';
import { CliFailure } from './cli-failure.js';
import { commandConfig } from './command-config.js';
import { DURATION_FORM, parseDuration } from './durations.js';
import { ExitCode } from './exit-code.js';
import { actorOf, withKeyService } from './key-service.js';
import { newKeyText, receiptText } from './key-text.js';
import { done, type Outcome } from './outcome.js';

/** `latchkey keys rotate`. */
export async function rotateKey(context: CliContext, keyId: string, overlap: string): Promise<Outcome> {
  const overlapMs = parseDuration(overlap);
  if (overlapMs === undefined) throw new CliFailure(ExitCode.USAGE, `--overlap must be ${DURATION_FORM}, or 0`);
  if (overlapMs > OVERLAP_SECONDS_MAX * 1000) throw new CliFailure(ExitCode.USAGE, '--overlap must be at most 7d');
  const config = commandConfig(context);
  const { key, rawKey, old, receipt } = await withKeyService(context, config, (keys) =>
    keys.rotate(keyId, null, overlapMs, actorOf(context)),
  );
  const fate =
    receipt === null
      ? `The old key ${old.id} (${old.keyPrefix}…) works until ${keyView(old).expires_at}.`
      : `The old key ${old.id} (${old.keyPrefix}…) is refused everywhere.\n\n${receiptText(receipt)}`;
  return done(
    {
      ...keyView(key),
      raw_key: rawKey,
      replaced: keyView(old),
      receipt: receipt === null ? null : receiptView(receipt),
    },
    `${newKeyText(key, rawKey)}\n\n${fate}`,
  );
}
