import {
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { service as healthDefinition } from 'grpc-health-check';
import type { GrpcService } from './grpc-service.js';

interface HealthRequest {
  readonly service: string;
}

interface HealthResponse {
  readonly status: 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN';
}

/**
 * `grpc.health.v1.Health` over one state for the whole server and each of its services.
 *
 * Only the names that are served are remembered: a client that watches names of its own making costs no memory beyond
 * its call. A watch of such a name answers `SERVICE_UNKNOWN` and stays open, as the protocol asks.
 */
export class Health {
  /** The service to register. */
  readonly service: GrpcService;
  private serving = false;
  private readonly names: ReadonlySet<string>;
  private readonly watchers = new Set<ServerWritableStream<HealthRequest, HealthResponse>>();

  constructor(serviceNames: readonly string[]) {
    // The empty name asks about the server as a whole.
    this.names = new Set(['', ...serviceNames]);
    this.service = {
      name: 'grpc.health.v1.Health',
      definition: healthDefinition as ServiceDefinition,
      implementation: {
        check: (call: ServerUnaryCall<HealthRequest, HealthResponse>, callback: sendUnaryData<HealthResponse>) => {
          if (this.names.has(call.request.service)) callback(null, this.current());
          else callback({ code: status.NOT_FOUND, details: 'No such service is served here.' });
        },
        list: (_call: unknown, callback: sendUnaryData<{ statuses: Record<string, HealthResponse> }>) => {
          const current = this.current();
          callback(null, { statuses: Object.fromEntries([...this.names].map((name) => [name, current])) });
        },
        watch: (call: ServerWritableStream<HealthRequest, HealthResponse>) => {
          if (!this.names.has(call.request.service)) {
            call.write({ status: 'SERVICE_UNKNOWN' });
            return;
          }
          this.watchers.add(call);
          call.on('cancelled', () => this.watchers.delete(call));
          call.write(this.current());
        },
      },
    };
  }

  /** Sets the state of everything and tells the watchers, if it changed. */
  set(serving: boolean): void {
    if (serving === this.serving) return;
    this.serving = serving;
    for (const watcher of this.watchers) watcher.write(this.current());
  }

  private current(): HealthResponse {
    return { status: this.serving ? 'SERVING' : 'NOT_SERVING' };
  }
}
