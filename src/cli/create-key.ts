import { parseKeyName } from '../domain/key-name.js';
import { isPermissionName, type PermissionSet, permissionSet } from '../domain/permissions.js';
import { DATE_TIME_MAX_MS, parseDateTime } from '../transport/http/date-time.js';
import { keyView } from '../transport/http/key-view.js';
import type { CliContext } from './cli-context.js';
import { CliFailure } from './cli-failure.js';
import { commandConfig } from './command-config.js';
import { parseDuration } from './durations.js';
import { ExitCode } from './exit-code.js';
import { accountOf, actorOf, withKeyService } from './key-service.js';
import { newKeyText } from './key-text.js';
import { done, type Outcome } from './outcome.js';

export interface CreateKeyOptions {
  readonly name: string;
  readonly account?: string;
  readonly workflow?: string;
  readonly permissions?: string;
  readonly expires?: string;
}

/** `latchkey keys create`. */
export async function createKey(context: CliContext, options: CreateKeyOptions): Promise<Outcome> {
  const config = commandConfig(context);
  const accountId = accountOf(config, options.account);
  const name = parseKeyName(options.name);
  if ('problem' in name) throw new CliFailure(ExitCode.USAGE, `the name ${name.problem}`);
  const choices = {
    name: name.name,
    workflowId: options.workflow ?? null,
    permissions: parsePermissions(options.permissions ?? ''),
    expiresAtMs: options.expires === undefined ? null : parseExpiry(options.expires, context.clock.wallMs()),
  };
  const { key, rawKey } = await withKeyService(context, config, (keys) =>
    keys.create(accountId, choices, actorOf(context)),
  );
  return done({ ...keyView(key), raw_key: rawKey }, newKeyText(key, rawKey));
}

function parsePermissions(text: string): PermissionSet {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !isPermissionName(name));
  if (unknown !== undefined) {
    throw new CliFailure(ExitCode.USAGE, `${JSON.stringify(unknown)} is no permission`, 'read, execute and write are');
  }
  return permissionSet(names);
}

function parseExpiry(text: string, nowMs: number): number {
  const durationMs = parseDuration(text);
  const expiresAtMs = durationMs === undefined ? parseDateTime(text) : nowMs + durationMs;
  if (expiresAtMs === null) {
    throw new CliFailure(
      ExitCode.USAGE,
      '--expires must be a date-time like 2030-01-31T00:00:00Z, or a duration like 30d',
    );
  }
  if (expiresAtMs > DATE_TIME_MAX_MS) throw new CliFailure(ExitCode.USAGE, '--expires must be before the year 10000');
  if (expiresAtMs <= nowMs) throw new CliFailure(ExitCode.USAGE, '--expires must be in the future');
  return expiresAtMs;
}
