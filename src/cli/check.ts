import { parseListenAddress } from '../config/listen-address.js';
import { permissionNames } from '../domain/permissions.js';
import { Reason, reasonName } from '../domain/reason.js';
import { askDatabase } from './ask-database.js';
import { askSidecar, type SidecarTls, WouldNotTalk } from './ask-sidecar.js';
import type { CliContext } from './cli-context.js';
import { CliFailure } from './cli-failure.js';
import { commandConfig } from './command-config.js';
import { ExitCode } from './exit-code.js';
import type { Outcome } from './outcome.js';
import { pairs } from './table.js';

/** Files for calls over TLS. */
export interface TlsOptions {
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

export interface CheckOptions extends TlsOptions {
  readonly key: string;
  readonly workflow: string;
  readonly method: string;
  readonly address?: string;
}

/** A decision, and who made it. */
export interface Answer {
  readonly reason: Reason;
  /** Identity of the key; empty texts when the reason carries none. */
  readonly keyId: string;
  readonly accountId: string;
  readonly scope: string;
  readonly permissions: number;
  readonly appId: string;
  /** The sidecar's address, or `database`. */
  readonly source: string;
}

/** What is asked. */
export interface Question {
  readonly key: string;
  readonly workflow: string;
  readonly method: string;
}

/** `latchkey check`. */
export async function check(context: CliContext, options: CheckOptions): Promise<Outcome> {
  const config = commandConfig(context);
  if (options.address !== undefined && parseListenAddress(options.address) === undefined) {
    throw new CliFailure(ExitCode.USAGE, '--address must be host:port or unix:/path');
  }
  const key = options.key === '-' ? (await context.readInput()).trim() : options.key;
  const question: Question = { key, workflow: options.workflow, method: options.method };
  const address = options.address ?? config.grpcAddresses[0]?.text ?? '';
  const answer =
    options.address === undefined
      ? ((await askSidecarIfAny(context, address, tlsOf(options), question)) ??
        (await askDatabase(context, config, question)))
      : ((await askSidecar(address, tlsOf(options), question)) ?? nobodyAt(address));
  const granted = answer.reason === Reason.GRANTED;
  const permissions = permissionNames(answer.permissions);
  return {
    exitCode: granted ? ExitCode.OK : ExitCode.DENIED,
    json: {
      decision: granted ? 'ALLOW' : 'DENY',
      reason: reasonName(answer.reason),
      key_id: answer.keyId,
      account_id: answer.accountId,
      workflow_id: answer.scope,
      permissions,
      app_id: answer.appId,
      source: answer.source,
    },
    text: [
      reasonName(answer.reason),
      pairs([
        ...(answer.keyId === ''
          ? []
          : ([
              ['key', answer.keyId],
              ['account', answer.accountId],
              ['scope', answer.scope === '' ? 'all workflows' : answer.scope],
              ['permissions', permissions.join(',')],
              ...(answer.appId === '' ? [] : [['app', answer.appId] as const]),
            ] as const)),
        ['decided by', answer.source],
      ]),
    ].join('\n'),
  };
}

/** As {@link askSidecar}, but one that would not talk is only complained of: the database can be asked instead. */
async function askSidecarIfAny(
  context: CliContext,
  address: string,
  tls: SidecarTls | null,
  question: Question,
): Promise<Answer | null> {
  try {
    return await askSidecar(address, tls, question);
  } catch (error) {
    if (!(error instanceof WouldNotTalk)) throw error;
    context.err(`latchkey: ${error.message}; the database is asked instead\n  ${error.hint}\n`);
    return null;
  }
}

/** The files named on the command line; `null`: plain text. */
export function tlsOf({ tlsCa, tlsCert, tlsKey }: TlsOptions): SidecarTls | null {
  if (tlsCa === undefined && tlsCert === undefined && tlsKey === undefined) return null;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new CliFailure(ExitCode.USAGE, '--tls-cert and --tls-key go together');
  }
  return { caFile: tlsCa ?? null, certFile: tlsCert ?? null, keyFile: tlsKey ?? null };
}

function nobodyAt(address: string): never {
  throw new CliFailure(ExitCode.FAILURE, `no sidecar answers at ${address}`, 'is latchkey serve running there?');
}
