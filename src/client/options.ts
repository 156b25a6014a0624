/** Certificates of the client's side, in PEM. */
export interface ClientTls {
  /** Authorities that sign the server's certificate; the system's own when left out. */
  readonly ca?: string | Buffer;
  /** The client's certificate and key, for mTLS. */
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  /** Name to expect in the server's certificate, when it is not the host of the address. */
  readonly serverName?: string;
}

/** Options of `createLatchkeyClient`. */
export interface LatchkeyClientOptions {
  /**
   * Where sidecars answer: `host:port` or `unix:/path`. Of several, the first that is healthy is asked; the others are
   * there for when it is not.
   */
  readonly address: string | readonly string[];
  /** Left out: plain text, for loopback and unix sockets. `true`: TLS with the system's authorities. */
  readonly tls?: ClientTls | true;
  /** Longest time, in ms, for one call, its retries included. Default 1000. */
  readonly deadlineMs?: number;
  /**
   * How often a call that ended `UNAVAILABLE` is tried in all, within its deadline. While no sidecar can be reached at
   * all, it is tried until the deadline. 1: never again, for any reason. Default 4.
   */
  readonly maxAttempts?: number;
  /**
   * Gathers the `authorize` calls of one turn of the event loop into one `AuthorizeBatch`. Many calls a second cost
   * several times less; a single one takes a little longer. Default false.
   */
  readonly batching?: boolean;
  /** Follows the health of each address, and asks one that says it is not serving only when none is. Default true. */
  readonly healthChecks?: boolean;
}

/** Options of one call. */
export interface CallOptions {
  /** Instead of the client's own. */
  readonly deadlineMs?: number;
  /** Gives the call up when it aborts. */
  readonly signal?: AbortSignal;
}

/** Longest time, in ms, for one call unless told otherwise. */
export const DEADLINE_MS = 1_000;

/** How often a call is tried unless told otherwise. */
export const MAX_ATTEMPTS = 4;

/** Throws a `RangeError` that names an option with an unusable value. */
export function checkOptions(options: LatchkeyClientOptions): void {
  const { deadlineMs, maxAttempts } = options;
  if (addressesOf(options).length === 0) throw new RangeError('address must name at least one sidecar');
  checkDeadline(deadlineMs);
  if (maxAttempts !== undefined && !(Number.isInteger(maxAttempts) && maxAttempts >= 1)) {
    throw new RangeError('maxAttempts must be a whole number of at least 1');
  }
}

/** Throws a `RangeError` when a deadline is not a positive number of ms. */
export function checkDeadline(deadlineMs: number | undefined): void {
  if (deadlineMs !== undefined && !(deadlineMs > 0 && Number.isFinite(deadlineMs))) {
    throw new RangeError('deadlineMs must be a positive number of milliseconds');
  }
}

/** The addresses, as a list. */
export function addressesOf({ address }: LatchkeyClientOptions): readonly string[] {
  return typeof address === 'string' ? [address] : address;
}
