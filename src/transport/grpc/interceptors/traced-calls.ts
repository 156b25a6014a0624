import { type Metadata, type ServerInterceptingCallInterface, type ServerInterceptor, status } from '@grpc/grpc-js';
import type { ServerSpan, Tracing } from '../../../ports/tracing.js';
import { type CallListener, type CallStatus, ForwardingCall } from './forwarding-call.js';

/** Codes that say something of the server rather than of the call (semantic conventions for gRPC, server side). */
const SERVER_FAULTS: ReadonlySet<number> = new Set([
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.UNIMPLEMENTED,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS,
]);

/**
 * A span for every call, a stream included, from its metadata to its status. Nothing of a message is in it: a request
 * holds a key.
 */
export function tracedCalls(tracing: Tracing): ServerInterceptor {
  return (method, call) => new TracedCall(call, method.path, tracing).asCall;
}

class TracedCall extends ForwardingCall {
  private span: ServerSpan | null = null;

  constructor(
    next: ServerInterceptingCallInterface,
    private readonly path: string,
    private readonly tracing: Tracing,
  ) {
    super(next);
  }

  start(listener: CallListener): void {
    this.next.start({
      onReceiveMetadata: (metadata) => {
        this.begin(metadata);
        this.run(() => listener.onReceiveMetadata(metadata));
      },
      onReceiveMessage: (message) => this.run(() => listener.onReceiveMessage(message)),
      onReceiveHalfClose: () => this.run(() => listener.onReceiveHalfClose()),
      // Called once for every call, however it ends; without a status before, the client or the connection is gone.
      onCancel: () => {
        this.end(status.CANCELLED);
        listener.onCancel();
      },
    });
  }

  override sendStatus(last: CallStatus): void {
    this.end(last.code ?? status.UNKNOWN);
    this.next.sendStatus(last);
  }

  private begin(metadata: Metadata): void {
    const name = this.path.slice(1);
    const [service = '', method = ''] = name.split('/');
    this.span = this.tracing.serverSpan(name, (header) => metadata.get(header)[0]?.toString(), {
      'rpc.system': 'grpc',
      'rpc.service': service,
      'rpc.method': method,
    });
  }

  private end(code: number): void {
    this.span?.end({ 'rpc.grpc.status_code': code }, SERVER_FAULTS.has(code));
    this.span = null;
  }

  private run(work: () => void): void {
    if (this.span === null) work();
    else this.span.run(work);
  }
}
