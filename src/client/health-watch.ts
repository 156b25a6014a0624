import type { Client, ClientReadableStream, StatusObject } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import { backoffMs } from './backoff.js';
import { after } from './timing.js';

/** What is known of a server: nothing yet (or it has no health service), or what it says. */
export type HealthState = 'unknown' | 'serving' | 'not-serving';

/** Bounds of the wait before the watch is opened again, in ms: a sidecar that is back should soon be known to be. */
const RETRY_BASE_MS = 100;
const RETRY_MAX_MS = 1_000;

/** Name of the service whose health is followed. */
const SERVICE = 'latchkey.v1.AuthorizationService';

/** `HealthCheckRequest{service = 1}`; its length is below 128. */
const REQUEST = Buffer.concat([Buffer.from([0x0a, SERVICE.length]), Buffer.from(SERVICE)]);

/** Follows `grpc.health.v1.Health/Watch` of one server for as long as the client lives. */
export class HealthWatch {
  state: HealthState = 'unknown';
  private stream: ClientReadableStream<boolean> | null = null;
  private cancelRetry: () => void = () => {};
  private failures = 0;
  private closed = false;

  constructor(private readonly client: Client) {
    this.connect();
  }

  close(): void {
    this.closed = true;
    this.cancelRetry();
    this.stream?.cancel();
  }

  private connect(): void {
    const stream = this.client.makeServerStreamRequest(
      '/grpc.health.v1.Health/Watch',
      (request: Buffer) => request,
      isServing,
      REQUEST,
    );
    this.stream = stream;
    stream.on('data', (serving: boolean) => {
      this.failures = 0;
      this.state = serving ? 'serving' : 'not-serving';
    });
    // How it ended is told by the status; gRPC requires a listener of errors all the same.
    stream.on('error', () => {});
    stream.on('status', ({ code }: StatusObject) => {
      if (this.closed || this.stream !== stream) return;
      // A server without the service is taken as it is; one that cannot be reached, or ends the watch, is not serving.
      this.state = code === status.UNIMPLEMENTED ? 'unknown' : 'not-serving';
      if (code !== status.UNIMPLEMENTED) this.retry();
    });
  }

  private retry(): void {
    this.cancelRetry();
    this.cancelRetry = after(backoffMs(++this.failures, RETRY_BASE_MS, RETRY_MAX_MS), () => this.connect());
  }
}

/** Reads `HealthCheckResponse{status = 1}`: whether it is `SERVING` (1). */
function isServing(bytes: Buffer): boolean {
  return bytes.length === 2 && bytes[0] === 0x08 && bytes[1] === 1;
}
