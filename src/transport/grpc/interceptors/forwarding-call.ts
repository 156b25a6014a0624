import type { Metadata, ServerInterceptingCall, ServerInterceptingCallInterface } from '@grpc/grpc-js';

/** Hears what a client sends. */
export type CallListener = Parameters<ServerInterceptingCallInterface['start']>[0];

/** How a call ends. */
export type CallStatus = Parameters<ServerInterceptingCallInterface['sendStatus']>[0];

/** A call of which an interceptor has taken hold: passes everything on, except what a subclass does instead. */
export abstract class ForwardingCall implements ServerInterceptingCallInterface {
  constructor(protected readonly next: ServerInterceptingCallInterface) {}

  /** Itself: an interceptor's type asks for the library's class, where every object with its methods will do. */
  get asCall(): ServerInterceptingCall {
    return this as ServerInterceptingCallInterface as ServerInterceptingCall;
  }

  abstract start(listener: CallListener): void;

  sendMetadata(metadata: Metadata): void {
    this.next.sendMetadata(metadata);
  }

  sendMessage(message: unknown, callback: () => void): void {
    this.next.sendMessage(message, callback);
  }

  sendStatus(status: CallStatus): void {
    this.next.sendStatus(status);
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
