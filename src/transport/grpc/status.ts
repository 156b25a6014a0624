import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { Failure, type FailureKind } from '../../domain/failure.js';
import { ErrorReason } from '../../gen/latchkey/v1/error_reason.js';
import type { Logger } from '../../ports/logger.js';
import { BrokenMessage, varintSize, WireType, writeVarint } from './wire.js';

/** What a failed call answers with. */
export type FailedCall = Pick<ServiceError, 'code' | 'details' | 'metadata'> & Error;

/** The `domain` of every `google.rpc.ErrorInfo` that is sent. */
export const ERROR_DOMAIN = 'latchkey';

/** The gRPC status code and the stable reason of each kind of failure. */
export function statusOfFailure(kind: FailureKind): { readonly code: status; readonly reason: ErrorReason } {
  switch (kind) {
    case 'unavailable':
      return { code: status.UNAVAILABLE, reason: ErrorReason.UNAVAILABLE };
    case 'overloaded':
      return { code: status.RESOURCE_EXHAUSTED, reason: ErrorReason.OVERLOADED };
    case 'invalid-argument':
      return { code: status.INVALID_ARGUMENT, reason: ErrorReason.INVALID_ARGUMENT };
    case 'deadline-exceeded':
      return { code: status.DEADLINE_EXCEEDED, reason: ErrorReason.DEADLINE_EXCEEDED };
    // The one code that clients retry by themselves, and a repeated call is what confirms the change.
    case 'unconfirmed':
      return { code: status.UNAVAILABLE, reason: ErrorReason.UNCONFIRMED };
    case 'not-found':
      return { code: status.NOT_FOUND, reason: ErrorReason.NOT_FOUND };
    case 'conflict':
      return { code: status.FAILED_PRECONDITION, reason: ErrorReason.CONFLICT };
    case 'limit-reached':
      return { code: status.RESOURCE_EXHAUSTED, reason: ErrorReason.LIMIT_REACHED };
    case 'forbidden':
      return { code: status.PERMISSION_DENIED, reason: ErrorReason.FORBIDDEN };
    case 'history-pruned':
      return { code: status.OUT_OF_RANGE, reason: ErrorReason.HISTORY_PRUNED };
    // Not RESOURCE_EXHAUSTED, which says "come back later": a watcher that was cut off should resume at once.
    case 'slow-reader':
      return { code: status.ABORTED, reason: ErrorReason.SLOW_READER };
    default:
      return kind satisfies never;
  }
}

/**
 * Turns whatever stopped a call into the status to send. Only the public text of a {@link Failure} goes out; anything
 * else becomes a bland `UNAVAILABLE` and is logged, because it is a fault of this program.
 */
export function failedCall(error: unknown, logger: Logger): FailedCall {
  const failure = failureOf(error, logger);
  const { code, reason } = statusOfFailure(failure.kind);
  return Object.assign(new Error(failure.message), {
    code,
    details: failure.message,
    metadata: errorInfo(code, failure.message, reason),
  });
}

/** The failure behind an error: a broken message is the client's fault, anything unforeseen is ours. */
function failureOf(error: unknown, logger: Logger): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof BrokenMessage) return new Failure('invalid-argument', error.message);
  logger.error('a call failed in an unforeseen way', { error });
  return Failure.from(error);
}

/**
 * Trailers with a `google.rpc.Status` whose one detail is a `google.rpc.ErrorInfo`. The three messages are written by
 * hand: three fields each, and a copy of their files would be one more contract to keep.
 */
function errorInfo(code: status, message: string, reason: ErrorReason): Metadata {
  const info = Buffer.concat([lengthDelimited(1, ErrorReason[reason]), lengthDelimited(2, ERROR_DOMAIN)]);
  const any = Buffer.concat([lengthDelimited(1, 'type.googleapis.com/google.rpc.ErrorInfo'), lengthDelimited(2, info)]);
  const bytes = Buffer.concat([Buffer.from([0x08, code]), lengthDelimited(2, message), lengthDelimited(3, any)]);
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', bytes);
  return metadata;
}

/** One length-delimited field. */
function lengthDelimited(field: number, value: string | Buffer): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  const head = Buffer.alloc(1 + varintSize(bytes.length));
  head[0] = field * 8 + WireType.LENGTH_DELIMITED;
  writeVarint(head, 1, bytes.length);
  return Buffer.concat([head, bytes]);
}
