import { Failure } from '../domain/failure.js';
import type { KeyRecord } from '../domain/key-record.js';
import { permissionNames } from '../domain/permissions.js';
import { httpStatusOfReason, Reason, type ReasonName, reasonName } from '../domain/reason.js';
import type { Verdict } from '../service/authorizer.js';
import type { Extraction } from './extract.js';

/** One header of an answer, its name in lower case. */
export type Header = readonly [name: string, value: string];

/** What a proxy must do with a request: pass it on with these identity headers, or refuse it like this. */
export type Answer =
  | {
      readonly kind: 'allowed';
      readonly key: KeyRecord;
    }
  | {
      readonly kind: 'refused';
      readonly status: 401 | 403 | 503;
      readonly headers: readonly Header[];
      /** An RFC 9457 problem document. */
      readonly body: string;
      /** Why, or `null` when no decision could be made. */
      readonly reason: ReasonName | null;
    };
/** An {@link Answer} that refuses. */
export type Refusal = Extract<Answer, { readonly kind: 'refused' }>;

/** The identity headers of an allowed request, in the order in which {@link identityHeaders} gives them. */
export const IDENTITY_HEADERS = [
  'x-latchkey-key-id',
  'x-latchkey-account-id',
  'x-latchkey-workflow-id',
  'x-latchkey-permissions',
] as const;

/** Carries the reason of a refusal to a proxy that drops the body. */
export const REASON_HEADER = 'x-latchkey-reason';

/**
 * The identity headers of a key. The workflow is the scope that the upstream must keep to, empty when the key may act
 * on all of the account's. Ids are opaque, so that whatever could break or split a header is percent-encoded (and `%`
 * with it); permissions are joined by commas.
 */
export function identityHeaders(key: KeyRecord): readonly [Header, Header, Header, Header] {
  return [
    [IDENTITY_HEADERS[0], headerSafe(key.id)],
    [IDENTITY_HEADERS[1], headerSafe(key.accountId)],
    [IDENTITY_HEADERS[2], headerSafe(key.workflowId)],
    [IDENTITY_HEADERS[3], permissionNames(key.permissions).join(',')],
  ];
}

/** The answer that a verdict is, given how the request was read. */
export function answerOfVerdict(verdict: Verdict, extraction: Extraction): Answer {
  if (verdict.reason === Reason.GRANTED && verdict.key !== null) {
    // The decision table refuses what could not be read; a catalogue with an empty name must not undo that.
    if (extraction.keyProblem !== null) return refusal(Reason.KEY_MALFORMED, extraction);
    if (extraction.methodProblem !== null) return refusal(Reason.METHOD_UNKNOWN, extraction);
    return { kind: 'allowed', key: verdict.key };
  }
  return refusal(verdict.reason === Reason.GRANTED ? Reason.KEY_UNKNOWN : verdict.reason, extraction);
}

/**
 * The answer when no decision could be made: 503, never 401 or 403, so that a client tries again and does not discard
 * its key.
 */
export function answerOfError(error: unknown): Refusal {
  const failure = Failure.from(error);
  switch (failure.kind) {
    case 'overloaded':
      return OVERLOADED;
    case 'unavailable':
    case 'deadline-exceeded':
    case 'unconfirmed':
    case 'invalid-argument':
    case 'not-found':
    case 'conflict':
    case 'limit-reached':
    case 'forbidden':
    case 'history-pruned':
    case 'slow-reader':
      return UNAVAILABLE;
    default:
      return failure.kind satisfies never;
  }
}

type DenyReason = Exclude<ReasonName, 'GRANTED'>;

/** What a client is told of each reason to deny. */
const TEXTS: Readonly<Record<DenyReason, { readonly title: string; readonly detail: string }>> = {
  KEY_MALFORMED: { title: 'Not an API key', detail: 'The API key does not have the form of one.' },
  KEY_UNKNOWN: { title: 'Unknown API key', detail: 'There is no such API key.' },
  KEY_REVOKED: { title: 'Revoked API key', detail: 'The API key has been revoked.' },
  KEY_EXPIRED: { title: 'Expired API key', detail: 'The API key has expired.' },
  METHOD_UNKNOWN: { title: 'Unknown method', detail: 'This is not a method that API keys can call.' },
  METHOD_NOT_FOR_APPS: { title: 'Not for published apps', detail: 'Published apps cannot call this method.' },
  WORKFLOW_OUT_OF_SCOPE: { title: 'Out of scope', detail: 'The API key is limited to another workflow.' },
  WORKFLOW_REQUIRED: { title: 'Workflow required', detail: 'The request must name a workflow.' },
  WORKFLOW_UNKNOWN: { title: 'Unknown workflow', detail: 'The account has no such workflow.' },
  PERMISSION_MISSING: { title: 'Permission missing', detail: 'The API key lacks the permission for this method.' },
};

const JSON_HEADERS: readonly Header[] = [
  ['content-type', 'application/problem+json'],
  ['cache-control', 'no-store'],
];
/** RFC 6750 section 3.1: without an error code where no credential was given. */
const CHALLENGE = 'Bearer realm="latchkey"';
const CHALLENGE_INVALID = `${CHALLENGE}, error="invalid_token"`;

const USUAL_REFUSALS = new Map<DenyReason, Refusal>(
  (Object.keys(TEXTS) as DenyReason[]).map((name) => [name, buildRefusal(name, TEXTS[name].detail, CHALLENGE_INVALID)]),
);

const UNAVAILABLE = buildUndecided('unavailable', 'Temporarily unavailable', 'No decision could be made; try again.');
const OVERLOADED = buildUndecided('overloaded', 'Overloaded', 'Too many decisions are waiting; try again.');

function refusal(reason: Exclude<Reason, typeof Reason.GRANTED>, extraction: Extraction): Refusal {
  const name = reasonName(reason) as DenyReason;
  const detail =
    reason === Reason.KEY_MALFORMED
      ? extraction.keyProblem
      : reason === Reason.METHOD_UNKNOWN
        ? extraction.methodProblem
        : null;
  if (detail === null) return USUAL_REFUSALS.get(name) as Refusal;
  return buildRefusal(name, detail, extraction.keyPresented ? CHALLENGE_INVALID : CHALLENGE);
}

function buildRefusal(name: DenyReason, detail: string, challenge: string): Refusal {
  const status = httpStatusOfReason(Reason[name]) as 401 | 403;
  const headers: Header[] = [...JSON_HEADERS, [REASON_HEADER, name]];
  if (status === 401) headers.push(['www-authenticate', challenge]);
  const type = `urn:latchkey:problem:${name.toLowerCase().replaceAll('_', '-')}`;
  const body = JSON.stringify({ type, title: TEXTS[name].title, status, detail, reason: name });
  return { kind: 'refused', status, headers, body, reason: name };
}

function buildUndecided(kind: string, title: string, detail: string): Refusal {
  return {
    kind: 'refused',
    status: 503,
    headers: [...JSON_HEADERS, ['retry-after', '1']],
    body: JSON.stringify({ type: `urn:latchkey:problem:${kind}`, title, status: 503, detail }),
    reason: null,
  };
}

/** Percent-encodes the UTF-8 of all but visible ASCII, and `%` and `,`. */
function headerSafe(value: string): string {
  if (!/[^\x21-\x7e]|[%,]/.test(value)) return value;
  let safe = '';
  for (const byte of Buffer.from(value)) {
    const character = String.fromCharCode(byte);
    safe +=
      /[\x21-\x7e]/.test(character) && !'%,'.includes(character)
        ? character
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return safe;
}
