import { readFile } from 'node:fs/promises';
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { channelTo } from '../client/channel.js';
import type { ClientTls } from '../client/options.js';
import { Permission, type PermissionSet } from '../domain/permissions.js';
import { REASONS } from '../domain/reason.js';
import { AuthorizationServiceClient, type AuthorizeResponse } from '../gen/latchkey/v1/authorization_service.js';
import { Permission as WirePermission } from '../gen/latchkey/v1/decision.js';
import { systemClock } from '../observability/system-clock.js';
import type { Answer, Question } from './check.js';
import { CliFailure } from './cli-failure.js';
import { ExitCode } from './exit-code.js';

/** Files for a call over TLS; `null`: the authorities of the system, no client certificate. */
export interface SidecarTls {
  readonly caFile: string | null;
  readonly certFile: string | null;
  readonly keyFile: string | null;
}

/** Longest wait for the answer, in ms. */
const DEADLINE_MS = 5000;

/** Somebody listens at the address, and no connection could be made all the same: TLS on one side only, as a rule. */
export class WouldNotTalk extends CliFailure {
  constructor(address: string, reason: string) {
    super(
      ExitCode.FAILURE,
      `somebody listens at ${address} but would not talk: ${reason}`,
      'a sidecar with TLS wants --tls-ca, and one that asks for certificates --tls-cert and --tls-key',
    );
  }
}

/**
 * Asks a sidecar. `null` when none listens at the address. Rejects with {@link WouldNotTalk} when somebody does who cannot
 * be asked, and with another failure when a sidecar makes no decision.
 */
export async function askSidecar(address: string, tls: SidecarTls | null, question: Question): Promise<Answer | null> {
  const client = await sidecarClient(address, tls);
  try {
    const response = await call(client, question);
    const reason = REASONS.find((each) => each === Number(response.reason));
    if (reason === undefined) throw new CliFailure(ExitCode.FAILURE, 'the answer has a reason that is not known here');
    return {
      reason,
      keyId: response.keyId,
      accountId: response.accountId,
      scope: response.workflowId,
      permissions: permissionSetOf(response.permissions),
      appId: response.appId,
      source: address,
    };
  } catch (error) {
    if (error instanceof CliFailure) throw error;
    const { code, details } = error as ServiceError;
    const connecting = code === status.UNAVAILABLE ? connectingError(details) : null;
    if (connecting !== null) {
      if (NOBODY_THERE.test(connecting)) return null;
      throw new WouldNotTalk(address, connecting);
    }
    throw new CliFailure(ExitCode.FAILURE, `no decision: ${status[code] ?? code}: ${details}`, null, { cause: error });
  } finally {
    client.close();
  }
}

/** One call, with a deadline. Rejects with a `ServiceError` when no decision came. */
export function call(client: AuthorizationServiceClient, question: Question): Promise<AuthorizeResponse> {
  const { key, workflow: workflowId, method } = question;
  return new Promise((resolve, reject) => {
    client.authorize(
      { key, workflowId, method },
      new Metadata(),
      { deadline: systemClock.wallMs() + DEADLINE_MS },
      (error: ServiceError | null, response: AuthorizeResponse) => {
        if (error === null) resolve(response);
        else reject(error);
      },
    );
  });
}

const NOBODY_THERE = /ECONNREFUSED|ENOENT|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/;

/**
 * Why no connection was made, in one line; `null` when one was. A sidecar that cannot decide answers `UNAVAILABLE` as
 * well: only the words of the library tell the two apart.
 */
function connectingError(details: string): string | null {
  if (!details.startsWith('No connection established')) return null;
  return details
    .replace(/^.*?Last error: (?:Error: )?/s, '')
    .replace(/\s*(?:\(\d{4}-[^)]*\))?\s*\. Resolution note:.*$/s, '');
}

/** A client of one sidecar; close it after use. */
export async function sidecarClient(address: string, tls: SidecarTls | null): Promise<AuthorizationServiceClient> {
  const { credentials, options } = channelTo(address, tls === null ? undefined : await read(tls));
  return new AuthorizationServiceClient(address, credentials, options);
}

async function read({ caFile, certFile, keyFile }: SidecarTls): Promise<ClientTls> {
  return {
    ...(caFile === null ? {} : { ca: await readFile(caFile) }),
    ...(certFile === null ? {} : { cert: await readFile(certFile) }),
    ...(keyFile === null ? {} : { key: await readFile(keyFile) }),
  };
}

const BIT_OF_WIRE = new Map<WirePermission, PermissionSet>([
  [WirePermission.READ, Permission.READ],
  [WirePermission.EXECUTE, Permission.EXECUTE],
  [WirePermission.WRITE, Permission.WRITE],
]);

function permissionSetOf(permissions: readonly WirePermission[]): PermissionSet {
  return permissions.reduce((set, each) => set | (BIT_OF_WIRE.get(each) ?? 0), 0);
}
