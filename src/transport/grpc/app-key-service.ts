import type { ServerUnaryCall, ServiceDefinition, sendUnaryData } from '@grpc/grpc-js';
import type { ListenAddress } from '../../config/listen-address.js';
import { isLocal } from '../../config/listen-address.js';
import { Failure } from '../../domain/failure.js';
import { OVERLAP_SECONDS_MAX } from '../../domain/overlap.js';
import { holdsRawKey } from '../../domain/raw-key.js';
import {
  AppKeyServiceService as generated,
  MintAppKeyRequest,
  type MintAppKeyResponse,
  RevokeAppKeysRequest,
  type RevokeAppKeysResponse,
} from '../../gen/latchkey/v1/app_key_service.js';
import type { Actor } from '../../ports/key-registry.js';
import type { Logger } from '../../ports/logger.js';
import type { AppKeyOrder, AppKeyService } from '../../service/app-keys.js';
import { permissionSetFromProto } from './convert.js';
import { decodeWith } from './decode.js';
import type { GrpcService } from './grpc-service.js';
import { namesOfPeer } from './peer-identity.js';
import { reply } from './reply.js';
import type { BrokenMessage } from './wire.js';

/** Most bytes of an app's, account's or workflow's id. */
export const ADMIN_ID_BYTES_MAX = 256;

/** What {@link appKeyService} is made of. */
export interface AppKeyGrpcParts {
  readonly appKeys: Pick<AppKeyService, 'mint' | 'revokeAll'>;
  /** Where the service is reached. On loopback and unix sockets whoever gets there may use it. */
  readonly address: ListenAddress;
  /** Names (SAN: URI or DNS) of the clients that may use it elsewhere; compared exactly. Empty: nobody. */
  readonly clients: readonly string[];
  readonly logger: Logger;
}

type Mint = ServerUnaryCall<MintAppKeyRequest | BrokenMessage, MintAppKeyResponse>;
type Revoke = ServerUnaryCall<RevokeAppKeysRequest | BrokenMessage, RevokeAppKeysResponse>;

const definition = {
  mintAppKey: {
    ...generated.mintAppKey,
    requestDeserialize: decodeWith(MintAppKeyRequest, ['appId', 'accountId', 'workflowId']),
  },
  revokeAppKeys: { ...generated.revokeAppKeys, requestDeserialize: decodeWith(RevokeAppKeysRequest, ['appId']) },
};

/** `latchkey.v1.AppKeyService`, for the admin listener only. */
export function appKeyService(parts: AppKeyGrpcParts): GrpcService {
  const { appKeys, logger } = parts;
  return {
    name: 'latchkey.v1.AppKeyService',
    definition: definition as ServiceDefinition,
    implementation: {
      mintAppKey(call: Mint, callback: sendUnaryData<MintAppKeyResponse>) {
        reply(call.request, callback, logger, async (request) => {
          const actor = actorOf(call, parts);
          const { rawKey, keyId } = await appKeys.mint(orderOf(request), actor);
          return { rawKey, keyId };
        });
      },
      revokeAppKeys(call: Revoke, callback: sendUnaryData<RevokeAppKeysResponse>) {
        reply(call.request, callback, logger, async ({ appId }) => {
          const actor = actorOf(call, parts);
          const { revoked } = await appKeys.revokeAll(requiredId('app_id', appId), actor);
          return { revoked };
        });
      },
    },
  };
}

/** Who calls. Rejects `forbidden` when the listener is reachable from elsewhere and the client is not on its list. */
function actorOf(call: Mint | Revoke, { address, clients, logger }: AppKeyGrpcParts): Actor {
  const names = namesOfPeer(call.getAuthContext());
  const peer = call.getPeer();
  const origin = peer === 'unknown' ? null : peer;
  if (isLocal(address)) {
    return { name: `service:${names[0] ?? (address.kind === 'unix' ? 'unix' : 'loopback')}`, origin };
  }
  const allowed = names.find((name) => clients.includes(name));
  if (allowed === undefined) {
    logger.warn('a client that is not on the allow-list was refused', { names, origin });
    throw new Failure('forbidden', 'The client certificate is not on the list of those that may manage app keys.');
  }
  return { name: `service:${allowed}`, origin };
}

function orderOf(request: MintAppKeyRequest): AppKeyOrder {
  const permissions = permissionSetFromProto(request.permissions);
  if (permissions === null) throw invalid('permissions', 'must all be known and specified');
  if (permissions === 0) throw invalid('permissions', 'must hold at least one permission');
  if (request.overlapSeconds > OVERLAP_SECONDS_MAX) {
    throw invalid('overlap_seconds', `must be at most ${OVERLAP_SECONDS_MAX}`);
  }
  return {
    appId: requiredId('app_id', request.appId),
    accountId: requiredId('account_id', request.accountId),
    workflowId: request.workflowId === '' ? null : requiredId('workflow_id', request.workflowId),
    permissions,
    overlapMs: request.overlapSeconds * 1000,
  };
}

function requiredId(field: string, value: string): string {
  if (value === '') throw invalid(field, 'must not be empty');
  if (Buffer.byteLength(value) > ADMIN_ID_BYTES_MAX)
    throw invalid(field, `must be at most ${ADMIN_ID_BYTES_MAX} bytes`);
  // PostgreSQL cannot hold NUL, and the others would be unreadable in the audit trail.
  if (/\p{Cc}/u.test(value)) throw invalid(field, 'must not contain control characters');
  if (holdsRawKey(value)) throw invalid(field, 'must not hold an API key');
  return value;
}

function invalid(field: string, problem: string): Failure {
  return new Failure('invalid-argument', `The field ${field} ${problem}.`);
}
