import type { ServerUnaryCall, ServerWritableStream, ServiceDefinition, sendUnaryData } from '@grpc/grpc-js';
import {
  AuthorizationServiceService as generated,
  WatchRevocationsRequest,
  type WatchRevocationsResponse,
} from '../../gen/latchkey/v1/authorization_service.js';
import type { Timers } from '../../ports/clock.js';
import type { Logger } from '../../ports/logger.js';
import type { Metrics } from '../../ports/metrics.js';
import type { Authorizer, Verdict } from '../../service/authorizer.js';
import type { RevocationWatch } from '../../service/revocation-watch.js';
import { authorizeBatch } from './authorize-batch.js';
import {
  decodeBatch,
  decodeQuestion,
  decodeStreamQuestion,
  encodeBatch,
  encodeStreamAnswer,
  encodeVerdict,
  type Question,
} from './authorize-codec.js';
import { authorizeStreamInterceptor } from './authorize-stream.js';
import { decodeWith } from './decode.js';
import type { GrpcService } from './grpc-service.js';
import { reply } from './reply.js';
import { serveWatch } from './watch-revocations-call.js';
import type { BrokenMessage } from './wire.js';

/** What {@link authorizationService} is made of. */
export interface AuthorizationServiceParts {
  readonly authorizer: Authorizer;
  readonly watch: RevocationWatch;
  readonly timers: Timers;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** The generated definition, with the codecs of the hot path replaced and broken messages made values. */
const definition = {
  authorize: { ...generated.authorize, requestDeserialize: decodeQuestion, responseSerialize: encodeVerdict },
  authorizeBatch: { ...generated.authorizeBatch, requestDeserialize: decodeBatch, responseSerialize: encodeBatch },
  authorizeStream: {
    ...generated.authorizeStream,
    requestDeserialize: decodeStreamQuestion,
    responseSerialize: encodeStreamAnswer,
  },
  watchRevocations: {
    ...generated.watchRevocations,
    requestDeserialize: decodeWith(WatchRevocationsRequest, ['accountId']),
  },
};

/** `latchkey.v1.AuthorizationService`. */
export function authorizationService(parts: AuthorizationServiceParts): GrpcService {
  const { authorizer, logger } = parts;
  const authorizeOne = ({ key, workflowId, method }: Question) =>
    authorizer.authorize('authorize', key, workflowId, method);
  const authorizeMany = (questions: readonly Question[]) => authorizeBatch(authorizer, questions);
  return {
    name: 'latchkey.v1.AuthorizationService',
    definition: definition as ServiceDefinition,
    implementation: {
      authorize(call: ServerUnaryCall<Question | BrokenMessage, Verdict>, callback: sendUnaryData<Verdict>) {
        reply(call.request, callback, logger, authorizeOne);
      },
      authorizeBatch(
        call: ServerUnaryCall<Question[] | BrokenMessage, readonly Verdict[]>,
        callback: sendUnaryData<readonly Verdict[]>,
      ) {
        reply(call.request, callback, logger, authorizeMany);
      },
      authorizeStream() {
        throw new Error('the interceptor of this service answers these calls');
      },
      watchRevocations(call: ServerWritableStream<WatchRevocationsRequest | BrokenMessage, WatchRevocationsResponse>) {
        void serveWatch(call, parts);
      },
    },
    interceptor: authorizeStreamInterceptor(parts),
  };
}
