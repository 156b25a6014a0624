import type {
  Metadata,
  ServerInterceptingCall,
  ServerInterceptingCallInterface,
  ServerInterceptor,
} from '@grpc/grpc-js';
import { Failure } from '../../../domain/failure.js';
import { silentLogger } from '../../../ports/logger.js';
import { failedCall } from '../status.js';
import { type CallListener, type CallStatus, ForwardingCall } from './forwarding-call.js';

/** How many streaming calls a server holds open at once. One that is never read holds about 64 kB at most. */
export const STREAMING_CALLS_MAX = 2048;

/** Streams of these services read no further request before the answer to the last one is sent. */
const ONE_AT_A_TIME = '/grpc.reflection.';

/**
 * Knows every open streaming call: bounds their number, and ends them all when the server drains.
 *
 * gRPC calls that stream never end by themselves, so a graceful shutdown would wait for them for ever. Unary calls pass
 * through untouched, at no cost.
 */
export class StreamingCalls {
  private readonly open = new Set<TrackedCall>();
  private draining = false;

  constructor(private readonly max: number = STREAMING_CALLS_MAX) {}

  /** How many streaming calls are open. */
  get size(): number {
    return this.open.size;
  }

  /** The interceptor to give to the server. */
  readonly interceptor: ServerInterceptor = (method, call) => {
    // Of one type with what the library made; see `ForwardingCall.asCall`.
    if (!method.requestStream && !method.responseStream) return call as ServerInterceptingCall;
    const tracked = new TrackedCall(call, method.path.startsWith(ONE_AT_A_TIME), (ended) => this.open.delete(ended));
    if (this.draining) tracked.sendStatus(DRAINING);
    else if (this.open.size >= this.max) tracked.sendStatus(TOO_MANY);
    else this.open.add(tracked);
    return tracked.asCall;
  };

  /** Ends every open stream, and every later one at once, with `UNAVAILABLE`: clients go on at another sidecar. */
  drain(): void {
    this.draining = true;
    for (const call of this.open) call.sendStatus(DRAINING);
  }
}

const DRAINING: CallStatus = failedCall(
  new Failure('unavailable', 'The server is shutting down; connect again.'),
  silentLogger,
);

const TOO_MANY: CallStatus = failedCall(
  new Failure('overloaded', 'Too many streams are open at this server; try again later.'),
  silentLogger,
);

/** Passes everything on, until a status has been sent; after that, nothing. */
class TrackedCall extends ForwardingCall {
  private ended = false;
  private sending = 0;
  private readHeld = false;

  constructor(
    next: ServerInterceptingCallInterface,
    private readonly oneAtATime: boolean,
    private readonly onEnd: (call: TrackedCall) => void,
  ) {
    super(next);
  }

  start(listener: CallListener): void {
    // A call that was refused never reaches its handler.
    if (this.ended) return;
    this.next.start({
      onReceiveMetadata: (metadata) => listener.onReceiveMetadata(metadata),
      onReceiveMessage: (message) => {
        if (!this.ended) listener.onReceiveMessage(message);
      },
      onReceiveHalfClose: () => {
        if (!this.ended) listener.onReceiveHalfClose();
      },
      // Called once for every call, however it ends.
      onCancel: () => {
        this.ended = true;
        this.onEnd(this);
        listener.onCancel();
      },
    });
  }

  override sendMetadata(metadata: Metadata): void {
    if (!this.ended) this.next.sendMetadata(metadata);
  }

  override sendMessage(message: unknown, callback: () => void): void {
    if (this.ended) return;
    if (!this.oneAtATime) {
      this.next.sendMessage(message, callback);
      return;
    }
    this.sending++;
    this.next.sendMessage(message, () => {
      this.sending--;
      callback();
      if (this.sending === 0 && this.readHeld) {
        this.readHeld = false;
        this.next.startRead();
      }
    });
  }

  override sendStatus(status: CallStatus): void {
    if (this.ended) return;
    this.ended = true;
    this.next.sendStatus(status);
  }

  override startRead(): void {
    if (this.sending > 0) this.readHeld = true;
    else this.next.startRead();
  }
}
