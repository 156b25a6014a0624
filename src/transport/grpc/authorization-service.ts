import type { ServerUnaryCall, ServiceDefinition, sendUnaryData } from '@grpc/grpc-js';
import { AuthorizationServiceService as generated } from '../../gen/latchkey/v1/authorization_service.js';
import type { Logger } from '../../ports/logger.js';
import type { Authorizer, Verdict } from '../../service/authorizer.js';
import { decodeQuestion, encodeVerdict, type Question } from './authorize-codec.js';
import type { GrpcService } from './grpc-service.js';
import { failedCall } from './status.js';
import { BrokenMessage } from './wire.js';

/** What {@link authorizationService} is made of. */
export interface AuthorizationServiceParts {
  readonly authorizer: Authorizer;
  readonly logger: Logger;
}

/** The generated definition with the codecs of the hot path replaced. */
const definition = {
  ...generated,
  authorize: { ...generated.authorize, requestDeserialize: decodeQuestion, responseSerialize: encodeVerdict },
};

/** `latchkey.v1.AuthorizationService`. */
export function authorizationService(parts: AuthorizationServiceParts): GrpcService {
  const { authorizer, logger } = parts;
  return {
    name: 'latchkey.v1.AuthorizationService',
    definition: definition as ServiceDefinition,
    implementation: {
      authorize(call: ServerUnaryCall<Question | BrokenMessage, Verdict>, callback: sendUnaryData<Verdict>) {
        const question = call.request;
        if (question instanceof BrokenMessage) {
          callback(failedCall(question, logger));
          return;
        }
        try {
          const verdict = authorizer.authorize('authorize', question.key, question.workflowId, question.method);
          if (verdict instanceof Promise) {
            verdict.then(
              (value) => callback(null, value),
              (error: unknown) => callback(failedCall(error, logger)),
            );
          } else callback(null, verdict);
        } catch (error) {
          callback(failedCall(error, logger));
        }
      },
    },
  };
}
