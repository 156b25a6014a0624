/**
 * Why something could not be done or decided. Each transport maps these to its own status in one exhaustive switch.
 *
 * - `unavailable`: no decision, or no change, could be made now; trying again may help.
 * - `overloaded`: shed to protect others; trying again later may help.
 * - `invalid-argument`: the request itself is structurally wrong; trying again will not help.
 * - `deadline-exceeded`: the caller's deadline, or the service's own, passed first.
 * - `unconfirmed`: the change is committed, but not yet proven to be enforced everywhere; repeat the call to confirm.
 * - `not-found`, `conflict`, `limit-reached`, `forbidden`: key management only.
 * - `history-pruned`: a watcher asked to resume from a sequence older than what is kept.
 * - `slow-reader`: a watcher was cut off because it did not read; it should resume from its last sequence.
 */
export type FailureKind =
  | 'unavailable'
  | 'overloaded'
  | 'invalid-argument'
  | 'deadline-exceeded'
  | 'unconfirmed'
  | 'not-found'
  | 'conflict'
  | 'limit-reached'
  | 'forbidden'
  | 'history-pruned'
  | 'slow-reader';

/**
 * An expected failure with two texts: `message` is public and may be sent to any client, `cause` is for the log only.
 *
 * Adapters translate driver errors into this class, so that no driver text ever reaches a wire.
 */
export class Failure extends Error {
  override readonly name = 'Failure';

  constructor(
    readonly kind: FailureKind,
    /** Safe to show to a client: names no host, no SQL, no key. */
    message: string,
    options?: { readonly cause?: unknown },
  ) {
    super(message, options);
  }

  /** Returns `error` when it is a {@link Failure}, and wraps anything else as a bland `unavailable`. */
  static from(error: unknown): Failure {
    if (error instanceof Failure) return error;
    return new Failure('unavailable', 'The request could not be completed; try again.', { cause: error });
  }
}
