import { type ServiceError, status } from '@grpc/grpc-js';

/** Name of a gRPC status code, e.g. `UNAVAILABLE`. */
export type StatusName = keyof typeof status;

/**
 * No decision could be made. Whoever asked must refuse the call: an error is never an allowance.
 *
 * `code` says why: `UNAVAILABLE` (also after the retries), `RESOURCE_EXHAUSTED` (shed; try again later),
 * `DEADLINE_EXCEEDED`, `INVALID_ARGUMENT` (a field over 4096 bytes, a batch over 1000), `CANCELLED` (by the caller's
 * signal, or the client was closed).
 */
export class UndecidedError extends Error {
  override readonly name = 'UndecidedError';

  constructor(
    readonly code: StatusName,
    message: string,
    options?: { readonly cause?: unknown },
  ) {
    super(`${code}: ${message}`, options);
  }

  /** Makes one of what a call failed with. */
  static from(error: unknown): UndecidedError {
    if (error instanceof UndecidedError) return error;
    if (isServiceError(error)) {
      return new UndecidedError((status[error.code] ?? 'UNKNOWN') as StatusName, error.details, { cause: error });
    }
    return new UndecidedError('UNKNOWN', 'the call failed', { cause: error });
  }
}

/** Whether an error came from gRPC. */
export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error;
}
