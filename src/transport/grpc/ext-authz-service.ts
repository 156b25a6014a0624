import { status as GrpcStatus, type handleUnaryCall } from '@grpc/grpc-js';
import { Failure } from '../../domain/failure.js';
import { reasonName } from '../../domain/reason.js';
import { type HeaderValueOption, HeaderValueOption_HeaderAppendAction } from '../../gen/envoy/config/core/v3/base.js';
import {
  AuthorizationService,
  type CheckRequest,
  type CheckResponse,
} from '../../gen/envoy/service/auth/v3/external_auth.js';
import type { Awaitable } from '../../ports/awaitable.js';
import type { Logger } from '../../ports/logger.js';
import type { Authorizer, Verdict } from '../../service/authorizer.js';
import { type Answer, answerOfError, answerOfVerdict, type Header, identityHeaders } from '../authorization-answer.js';
import { type Extraction, type ExtractionRules, extract } from '../extract.js';

export interface ExtAuthzParts {
  readonly authorizer: Authorizer;
  readonly rules: ExtractionRules;
  readonly logger: Logger;
}

/** `envoy.service.auth.v3.Authorization`, to be added to a server with {@link createExtAuthzService}. */
export const extAuthzServiceDefinition = AuthorizationService;

/**
 * Answers Envoy's external authorization checks.
 *
 * Every check is answered with gRPC status OK: a denial as a denied response with 401 or 403, and *no decision* as one
 * with 503 and `Retry-After`. A gRPC error would say the same to Envoy only where its operator set `status_on_error`,
 * and would open the door where `failure_mode_allow` is set; an answer is obeyed under any setting.
 */
export function createExtAuthzService(parts: ExtAuthzParts): { check: handleUnaryCall<CheckRequest, CheckResponse> } {
  return {
    check(call, reply) {
      const answer = check(parts, call.request);
      if (answer instanceof Promise) void answer.then((response) => reply(null, response));
      else reply(null, answer);
    },
  };
}

/** Never throws and never rejects. At once, not a promise, when the decision is. */
function check(parts: ExtAuthzParts, request: CheckRequest): Awaitable<CheckResponse> {
  try {
    const extraction = extractionOf(request, parts.rules);
    const verdict = parts.authorizer.authorize('ext_authz', extraction.key, extraction.workflowId, extraction.method);
    if (!(verdict instanceof Promise)) return decided(verdict, extraction);
    return verdict.then((value) => decided(value, extraction)).catch((error) => undecided(error, parts.logger));
  } catch (error) {
    return undecided(error, parts.logger);
  }
}

function extractionOf(request: CheckRequest, rules: ExtractionRules): Extraction {
  const attributes = request.attributes;
  const http = attributes?.request?.http;
  return extract(
    {
      headers: headersOf(http),
      httpMethod: http?.method ?? '',
      target: http?.path ?? '',
      contextExtensions: attributes?.contextExtensions ?? {},
    },
    rules,
  );
}

type HttpRequest = NonNullable<NonNullable<NonNullable<CheckRequest['attributes']>['request']>['http']>;

/**
 * The headers of both forms. Envoy fills one of them; a caller that fills both repeats every header, which denies,
 * because no telling which of the two the upstream would see.
 */
function headersOf(http: HttpRequest | undefined): Iterable<readonly [string, string]> {
  if (http === undefined) return [];
  const joined = Object.entries(http.headers);
  if (http.headerMap === undefined) return joined;
  const single = http.headerMap.headers.map(({ key, value, rawValue }): [string, string] => [
    key,
    value === '' ? rawValue.toString('latin1') : value,
  ]);
  return joined.length === 0 ? single : [...joined, ...single];
}

function decided(verdict: Verdict, extraction: Extraction): CheckResponse {
  const answer = answerOfVerdict(verdict, extraction);
  if (answer.kind === 'refused') return deniedResponse(answer, verdict, extraction);

  const headers: HeaderValueOption[] = [];
  // Envoy removes after it sets, so that a name must be in one of the two lists only.
  const remove = new Set(extraction.headersToRemove);
  for (const header of identityHeaders(answer.key)) {
    if (header[1] === '') {
      remove.add(header[0]);
    } else {
      remove.delete(header[0]);
      headers.push(overwrite(header));
    }
  }
  return {
    status: { code: GrpcStatus.OK, message: '' },
    httpResponse: { $case: 'okResponse', value: { headers, headersToRemove: [...remove] } },
    dynamicMetadata: metadataOf(verdict, extraction),
  };
}

const GRPC_STATUS = {
  401: GrpcStatus.UNAUTHENTICATED,
  403: GrpcStatus.PERMISSION_DENIED,
  503: GrpcStatus.UNAVAILABLE,
} as const;

function deniedResponse(
  answer: Extract<Answer, { kind: 'refused' }>,
  verdict: Verdict | null,
  extraction: Extraction | null,
): CheckResponse {
  return {
    status: { code: GRPC_STATUS[answer.status], message: answer.reason ?? 'no decision could be made' },
    httpResponse: {
      $case: 'deniedResponse',
      value: { status: { code: answer.status }, headers: answer.headers.map(overwrite), body: answer.body },
    },
    dynamicMetadata:
      verdict === null || extraction === null ? { decision: 'none' } : metadataOf(verdict, extraction, answer.reason),
  };
}

function undecided(error: unknown, logger: Logger): CheckResponse {
  if (!(error instanceof Failure)) logger.error('A check ended in an unexpected error.', { error });
  return deniedResponse(answerOfError(error), null, null);
}

/** What the proxy may show as dynamic metadata. */
interface CheckMetadata {
  decision: 'allow' | 'deny';
  reason: string;
  method?: string;
  key_id?: string;
  account_id?: string;
  workflow_id?: string;
}

/** For the proxy's access log and later filters. Names the method, which is the operator's word, and never the key. */
function metadataOf(verdict: Verdict, extraction: Extraction, refusedFor: string | null = null): CheckMetadata {
  const metadata: CheckMetadata = {
    decision: refusedFor === null ? 'allow' : 'deny',
    reason: refusedFor ?? reasonName(verdict.reason),
  };
  if (verdict.method !== undefined) metadata.method = verdict.method.name;
  if (verdict.key !== null) {
    metadata.key_id = verdict.key.id;
    metadata.account_id = verdict.key.accountId;
    // The workflow that the request names, proven to be the account's only where the decision is `allow`.
    if (extraction.workflowId !== '') metadata.workflow_id = extraction.workflowId;
  }
  return metadata;
}

function overwrite([key, value]: Header): HeaderValueOption {
  return {
    header: { key, value, rawValue: NO_BYTES },
    appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
  };
}

const NO_BYTES = Buffer.alloc(0);
