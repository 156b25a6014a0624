import type { ServerUnaryCall, ServiceDefinition, sendUnaryData } from '@grpc/grpc-js';
import { Failure } from '../../domain/failure.js';
import { AuthorizationService as generated } from '../../gen/envoy/service/auth/v3/external_auth.js';
import type { Awaitable } from '../../ports/awaitable.js';
import type { Logger } from '../../ports/logger.js';
import type { Authorizer } from '../../service/authorizer.js';
import { answerOfError, answerOfVerdict } from '../authorization-answer.js';
import { type Extraction, type ExtractionRules, extract, type ProxiedRequest } from '../extract.js';
import { type CheckAnswer, decodeCheck, encodeCheckAnswer } from './ext-authz-codec.js';
import type { GrpcService } from './grpc-service.js';

/** What {@link extAuthzService} is made of. */
export interface ExtAuthzParts {
  readonly authorizer: Authorizer;
  readonly rules: ExtractionRules;
  readonly logger: Logger;
}

/** The generated definition with the codecs replaced. */
const definition = {
  check: { ...generated.check, requestDeserialize: decodeCheck, responseSerialize: encodeCheckAnswer },
};

/**
 * `envoy.service.auth.v3.Authorization`: answers Envoy's external authorization checks.
 *
 * Every check is answered with gRPC status OK: a denial as a denied response with 401 or 403, and *no decision* as one
 * with 503 and `Retry-After`. A gRPC error would say the same to Envoy only where its operator set `status_on_error`,
 * and would open the door where `failure_mode_allow` is set; an answer is obeyed under any setting.
 */
export function extAuthzService(parts: ExtAuthzParts): GrpcService {
  return {
    name: 'envoy.service.auth.v3.Authorization',
    definition: definition as unknown as ServiceDefinition,
    implementation: {
      check(call: ServerUnaryCall<ProxiedRequest, CheckAnswer>, reply: sendUnaryData<CheckAnswer>) {
        const answer = check(parts, call.request);
        if (answer instanceof Promise) void answer.then((later) => reply(null, later));
        else reply(null, answer);
      },
    },
  };
}

/** Never throws and never rejects. At once, not a promise, when the decision is. */
function check(parts: ExtAuthzParts, request: ProxiedRequest): Awaitable<CheckAnswer> {
  const extraction = extract(request, parts.rules);
  try {
    const verdict = parts.authorizer.authorize('ext_authz', extraction.key, extraction.workflowId, extraction.method);
    if (!(verdict instanceof Promise)) return { answer: answerOfVerdict(verdict, extraction), verdict, extraction };
    return verdict
      .then((value) => ({ answer: answerOfVerdict(value, extraction), verdict: value, extraction }))
      .catch((error: unknown) => undecided(error, extraction, parts.logger));
  } catch (error) {
    return undecided(error, extraction, parts.logger);
  }
}

function undecided(error: unknown, extraction: Extraction, logger: Logger): CheckAnswer {
  if (!(error instanceof Failure)) logger.error('a check ended in an unexpected error', { error });
  return { answer: answerOfError(error), verdict: null, extraction };
}
