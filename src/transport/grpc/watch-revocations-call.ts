import type { ServerWritableStream } from '@grpc/grpc-js';
import { Failure } from '../../domain/failure.js';
import type { WatchRevocationsRequest, WatchRevocationsResponse } from '../../gen/latchkey/v1/authorization_service.js';
import type { Timers } from '../../ports/clock.js';
import type { Logger } from '../../ports/logger.js';
import type { Metrics } from '../../ports/metrics.js';
import type { RevocationWatch, WatchMessage } from '../../service/revocation-watch.js';
import { FIELD_BYTES_MAX } from './authorize-codec.js';
import { failedCall } from './status.js';
import { BrokenMessage } from './wire.js';

/** How long, in ms, a watcher may leave its full buffer unread before it is cut off. */
export const WATCH_STALL_MS = 30_000;

/** What {@link serveWatch} is made of. */
export interface WatchCallParts {
  readonly watch: RevocationWatch;
  readonly timers: Timers;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

type Call = ServerWritableStream<WatchRevocationsRequest | BrokenMessage, WatchRevocationsResponse>;

/** Serves one `WatchRevocations` call until the client leaves or the watch ends. Never rejects. */
export async function serveWatch(call: Call, parts: WatchCallParts): Promise<void> {
  const gone = new AbortController();
  call.once('cancelled', () => gone.abort());
  try {
    const { afterSequence, accountId } = checked(call.request);
    for await (const message of parts.watch.watch({ afterSequence, accountId }, gone.signal)) {
      if (!call.write(toProto(message))) await drained(call, gone.signal, parts);
      if (gone.signal.aborted) break;
    }
    call.end();
  } catch (error) {
    // Also stops the watch where the error came from here.
    gone.abort();
    call.emit('error', failedCall(error, parts.logger));
  }
}

function checked(request: WatchRevocationsRequest | BrokenMessage): WatchRevocationsRequest {
  if (request instanceof BrokenMessage) throw request;
  if (Buffer.byteLength(request.accountId) > FIELD_BYTES_MAX) {
    throw new BrokenMessage(`The field account_id is longer than ${FIELD_BYTES_MAX} bytes.`);
  }
  return request;
}

/** Waits until the client has read what is buffered, or is gone. Rejects `slow-reader` when it takes too long. */
function drained(call: Call, gone: AbortSignal, { timers, metrics }: WatchCallParts): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      cancelStall();
      call.removeListener('drain', settle);
      gone.removeEventListener('abort', settle);
      resolve();
    };
    const cancelStall = timers.after(WATCH_STALL_MS, () => {
      metrics.watcherCutOff();
      reject(new Failure('slow-reader', 'The stream was not read; resume after the last sequence received.'));
      settle();
    });
    call.once('drain', settle);
    gone.addEventListener('abort', settle, { once: true });
    if (gone.aborted) settle();
  });
}

function toProto({ sequence, revocation }: WatchMessage): WatchRevocationsResponse {
  if (revocation === null) return { sequence, event: { $case: 'heartbeat', value: {} } };
  const { keyId, accountId, appId, revokedAtMs } = revocation;
  return {
    sequence,
    event: { $case: 'revocation', value: { keyId, accountId, appId, revokedAt: new Date(revokedAtMs) } },
  };
}
