import { type ChannelOptions, connectivityState } from '@grpc/grpc-js';
import { AuthorizationServiceClient } from '../gen/latchkey/v1/authorization_service.js';
import { channelTo } from './channel.js';
import { HealthWatch } from './health-watch.js';
import type { ClientTls } from './options.js';
import type { Sidecar } from './sidecar.js';

/** A sidecar at an address: one connection, and one watch of its health. */
export class Endpoint implements Sidecar {
  readonly stub: AuthorizationServiceClient;
  private readonly health: HealthWatch | null;

  constructor(address: string, tls: ClientTls | true | undefined, healthChecks: boolean) {
    const { credentials, options } = channelTo(address, tls);
    this.stub = new AuthorizationServiceClient(address, credentials, { ...OPTIONS, ...options });
    this.health = healthChecks ? new HealthWatch(this.stub) : null;
  }

  get usable(): boolean {
    return this.health?.state !== 'not-serving';
  }

  get serving(): boolean {
    return this.health?.state === 'serving';
  }

  get connected(): boolean {
    return this.stub.getChannel().getConnectivityState(true) === connectivityState.READY;
  }

  close(): void {
    this.health?.close();
    this.stub.close();
  }
}

const OPTIONS: ChannelOptions = {
  'grpc.enable_channelz': 0,
  // A sidecar is restarted beside its client: it should be found again in a moment, and within the deadline of a call.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 500,
  // A connection that died in silence is noticed.
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.max_receive_message_length': 16 * 1024 * 1024,
};
