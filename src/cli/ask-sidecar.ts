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

/** Asks a sidecar. `null` when none listens at the address; throws when one does and makes no decision. */
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
    if (isNobodyThere(error)) return null;
    if (error instanceof CliFailure) throw error;
    const { code, details } = error as ServiceError;
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

/** A sidecar that cannot decide answers `UNAVAILABLE` as well; only the transport says that no connection was made. */
function isNobodyThere(error: unknown): boolean {
  const { code, details } = error as Partial<ServiceError>;
  return code === status.UNAVAILABLE && /No connection established|ECONNREFUSED|ENOENT/.test(details ?? '');
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
