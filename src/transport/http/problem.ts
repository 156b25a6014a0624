import { Failure } from '../../domain/failure.js';

/** One field of a request that broke a rule. */
export interface FieldError {
  /** The field's name, e.g. `expires_at`; `''` when the whole body is meant. */
  readonly field: string;
  /** Where it stands in the request, as a JSON Pointer (RFC 6901) into the body or the query. */
  readonly pointer: string;
  /** What is wrong, to be read after the field's name. Never repeats the value. */
  readonly message: string;
}

/** The body of an error: RFC 9457, plus `errors` where single fields are to blame. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** Names this one occurrence; the log line of the request has the same id. */
  readonly instance: string;
  readonly errors?: readonly FieldError[];
}

/** Every kind of problem: the last part of its `type`, its status and its title. Clients may rely on `type`. */
export const PROBLEMS = {
  'bad-request': { status: 400, title: 'The request is malformed' },
  unauthenticated: { status: 401, title: 'Sign in first' },
  'cross-site': { status: 403, title: 'Cross-site request refused' },
  forbidden: { status: 403, title: 'Not allowed' },
  'not-found': { status: 404, title: 'Not found' },
  'method-not-allowed': { status: 405, title: 'Method not allowed' },
  timeout: { status: 408, title: 'The request took too long to arrive' },
  conflict: { status: 409, title: 'Conflict' },
  'limit-reached': { status: 409, title: 'Too many keys' },
  gone: { status: 410, title: 'No longer kept' },
  'too-large': { status: 413, title: 'The body is too large' },
  'unsupported-media-type': { status: 415, title: 'The body must be JSON' },
  misdirected: { status: 421, title: 'Not served under this host name' },
  invalid: { status: 422, title: 'The request breaks a rule' },
  'too-many-requests': { status: 429, title: 'Too many requests' },
  'headers-too-large': { status: 431, title: 'The headers are too large' },
  internal: { status: 500, title: 'Internal error' },
  unavailable: { status: 503, title: 'Temporarily unavailable' },
  overloaded: { status: 503, title: 'Overloaded' },
  unconfirmed: { status: 503, title: 'Done, but not yet confirmed' },
} as const satisfies Record<string, { readonly status: number; readonly title: string }>;

/** The name of a kind of problem. */
export type ProblemName = keyof typeof PROBLEMS;

/** What a problem may add to its kind. */
export interface ProblemExtras {
  readonly errors?: readonly FieldError[];
  /** Seconds for `Retry-After`. Default: 1 for a 503, none otherwise. */
  readonly retryAfterSeconds?: number;
  /** Further headers. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For the log only. */
  readonly cause?: unknown;
}

/** An answer that is a problem. `message` is its public detail, `cause` is for the log only. */
export class HttpProblem extends Error {
  override readonly name = 'HttpProblem';

  constructor(
    readonly kind: ProblemName,
    detail: string,
    private readonly extras: ProblemExtras = {},
  ) {
    super(detail, { cause: extras.cause });
  }

  get status(): number {
    return PROBLEMS[this.kind].status;
  }

  /** Headers that go with the problem. */
  get headers(): Readonly<Record<string, string>> {
    const retryAfter = this.extras.retryAfterSeconds ?? (this.status === 503 ? 1 : undefined);
    return {
      ...(retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }),
      ...this.extras.headers,
    };
  }

  /** @param requestId the id that the request's log line carries */
  body(requestId: string): Problem {
    return {
      type: problemType(this.kind),
      title: PROBLEMS[this.kind].title,
      status: this.status,
      detail: this.message,
      instance: `urn:uuid:${requestId}`,
      ...(this.extras.errors === undefined ? {} : { errors: this.extras.errors }),
    };
  }
}

/** The `type` of a kind of problem. */
export function problemType(kind: ProblemName): string {
  return `urn:latchkey:problem:${kind}`;
}

/** The problem that a failure is on this transport. */
export function problemOf(failure: Failure): HttpProblem {
  const extras = { cause: failure };
  switch (failure.kind) {
    case 'unavailable':
    case 'deadline-exceeded':
      return new HttpProblem('unavailable', failure.message, extras);
    case 'overloaded':
    case 'slow-reader':
      return new HttpProblem('overloaded', failure.message, extras);
    case 'unconfirmed':
      return new HttpProblem(
        'unconfirmed',
        'The revocation is committed, but it could not be proven yet that every sidecar enforces it. ' +
          'Repeat the call to have it confirmed.',
        extras,
      );
    case 'invalid-argument':
      return new HttpProblem('invalid', failure.message, extras);
    case 'not-found':
      return new HttpProblem('not-found', failure.message, extras);
    case 'conflict':
      return new HttpProblem('conflict', failure.message, extras);
    case 'limit-reached':
      return new HttpProblem('limit-reached', failure.message, extras);
    case 'forbidden':
      return new HttpProblem('forbidden', failure.message, extras);
    case 'history-pruned':
      return new HttpProblem('gone', failure.message, extras);
    default:
      return failure.kind satisfies never;
  }
}

/** Turns whatever was thrown into a problem. What is not expected becomes a bland `internal`. */
export function problemOfError(error: unknown): HttpProblem {
  if (error instanceof HttpProblem) return error;
  if (error instanceof Failure) return problemOf(error);
  switch (codeOf(error)) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new HttpProblem('too-large', 'The body may have at most 64 KiB.');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new HttpProblem('unsupported-media-type', 'Send the body as application/json.');
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new HttpProblem('bad-request', 'The body is not as long as Content-Length says.');
    case 'FST_ERR_BAD_URL':
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new HttpProblem('not-found', 'There is nothing at this address.');
    default:
      return new HttpProblem('internal', 'Something went wrong here; the log has the details.', { cause: error });
  }
}

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
}
