import { readFile } from 'node:fs/promises';
import { type ChannelCredentials, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
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
  const client = new AuthorizationServiceClient(address, await channelCredentials(tls));
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

/** Credentials of a connection to a sidecar. */
export async function channelCredentials(tls: SidecarTls | null): Promise<ChannelCredentials> {
  if (tls === null) return credentials.createInsecure();
  const [ca, key, cert] = await Promise.all([tls.caFile, tls.keyFile, tls.certFile].map(readOrNull));
  return credentials.createSsl(ca ?? null, key ?? null, cert ?? null);
}

async function readOrNull(file: string | null): Promise<Buffer | null> {
  return file === null ? null : await readFile(file);
}

const BIT_OF_WIRE = new Map<WirePermission, PermissionSet>([
  [WirePermission.READ, Permission.READ],
  [WirePermission.EXECUTE, Permission.EXECUTE],
  [WirePermission.WRITE, Permission.WRITE],
]);

function permissionSetOf(permissions: readonly WirePermission[]): PermissionSet {
  return permissions.reduce((set, each) => set | (BIT_OF_WIRE.get(each) ?? 0), 0);
}
