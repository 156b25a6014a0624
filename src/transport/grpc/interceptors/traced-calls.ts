import {
  type Metadata,
  type ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status,
} from '@grpc/grpc-js';
import type { ServerSpan, Tracing } from '../../../ports/tracing.js';

type Listener = Parameters<ServerInterceptingCallInterface['start']>[0];
type CallStatus = Parameters<ServerInterceptingCallInterface['sendStatus']>[0];

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
  return (method, call) =>
    // The type asks for the library's class where every object with its methods will do.
    new TracedCall(call, method.path, tracing) as ServerInterceptingCallInterface as ServerInterceptingCall;
}

class TracedCall implements ServerInterceptingCallInterface {
  private span: ServerSpan | null = null;

  constructor(
    private readonly next: ServerInterceptingCallInterface,
    private readonly path: string,
    private readonly tracing: Tracing,
  ) {}

  start(listener: Listener): void {
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

  sendStatus(last: CallStatus): void {
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

  sendMetadata(metadata: Metadata): void {
    this.next.sendMetadata(metadata);
  }

  sendMessage(message: unknown, callback: () => void): void {
    this.next.sendMessage(message, callback);
  }

  startRead(): void {
    this.next.startRead();
  }

  getPeer(): string {
    return this.next.getPeer();
  }

  getDeadline() {
    return this.next.getDeadline();
  }

  getHost(): string {
    return this.next.getHost();
  }

  getAuthContext() {
    return this.next.getAuthContext();
  }

  getConnectionInfo() {
    return this.next.getConnectionInfo();
  }

  getMetricsRecorder() {
    return this.next.getMetricsRecorder();
  }
}
