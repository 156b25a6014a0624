/** The longest text of the server's that is shown. */
const DETAIL_MAX = 400;

/** A refused or failed call, in words that may be shown (RFC 9457). */
export class ApiProblem extends Error {
  override readonly name = 'ApiProblem';

  private constructor(
    /** HTTP status; 0 when no answer arrived. */
    readonly status: number,
    message: string,
    /** The server's `type`, `code` and `title` in one lower-case text, to tell problems of one status apart. */
    private readonly kind: string,
    /** Field name of the request body to what is wrong with it. */
    readonly fields: ReadonlyMap<string, string>,
    /** Seconds to wait before the next attempt, when the server said so. */
    readonly retryAfterSeconds: number | null,
  ) {
    super(message);
  }

  /** No answer: whether a change was made is unknown. */
  static unreachable(cause: unknown): ApiProblem {
    const late = cause instanceof DOMException && cause.name === 'TimeoutError';
    const message = late
      ? 'The server took too long to answer.'
      : 'The server could not be reached. Check your connection.';
    return new ApiProblem(0, message, '', new Map(), null);
  }

  /** Reads a response that is not a success, whatever its body is. */
  static async from(response: Response): Promise<ApiProblem> {
    const body = await readObject(response);
    const text = (name: string): string => (typeof body[name] === 'string' ? (body[name] as string) : '');
    const message = (text('detail') || text('title') || `The server answered ${response.status}.`).slice(0, DETAIL_MAX);
    const kind = `${text('type')} ${text('code')} ${text('title')}`.toLowerCase();
    const seconds = Number(response.headers.get('retry-after') ?? 'none');
    const retryAfter = Number.isFinite(seconds) && seconds > 0 ? Math.ceil(seconds) : null;
    return new ApiProblem(response.status, message, kind, fieldErrors(body.errors), retryAfter);
  }

  /** Anything thrown, as a problem. */
  static of(error: unknown): ApiProblem {
    return error instanceof ApiProblem ? error : ApiProblem.unreachable(error);
  }

  /** The session is missing or has ended. */
  get signedOut(): boolean {
    return this.status === 401;
  }

  /** The change is made, but not yet proven to be enforced everywhere. */
  get unconfirmed(): boolean {
    return this.status === 503 && this.kind.includes('unconfirmed');
  }

  /** It is not known whether a change was made. */
  get uncertain(): boolean {
    return this.status === 0 || this.status >= 500;
  }
}

async function readObject(response: Response): Promise<Readonly<Record<string, unknown>>> {
  try {
    const body: unknown = await response.json();
    return typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** `errors` of a problem: `{field | pointer, message | detail}`, with `name`, `/name` and `#/name` for a field. */
function fieldErrors(errors: unknown): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  if (!Array.isArray(errors)) return fields;
  for (const entry of errors as Record<string, unknown>[]) {
    const where = entry?.field ?? entry?.pointer;
    const message = entry?.message ?? entry?.detail;
    if (typeof where !== 'string' || typeof message !== 'string') continue;
    const field = where.split(/[#/.]+/).filter((part) => part !== '' && part !== 'body')[0];
    if (field !== undefined && !fields.has(field)) fields.set(field, message.slice(0, DETAIL_MAX));
  }
  return fields;
}
