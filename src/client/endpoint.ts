import { type ChannelCredentials, type ChannelOptions, credentials } from '@grpc/grpc-js';
import { AuthorizationServiceClient } from '../gen/latchkey/v1/authorization_service.js';
import { HealthWatch } from './health-watch.js';
import type { ClientTls } from './options.js';

/** One sidecar: its connection, and what is known of its health. */
export class Endpoint {
  readonly stub: AuthorizationServiceClient;
  private readonly health: HealthWatch | null;

  constructor(address: string, tls: ClientTls | true | undefined, healthChecks: boolean) {
    this.stub = new AuthorizationServiceClient(address, credentialsOf(tls), channelOptions(tls));
    this.health = healthChecks ? new HealthWatch(this.stub) : null;
  }

  /** Whether it has not said that it is not serving. */
  get usable(): boolean {
    return this.health?.state !== 'not-serving';
  }

  close(): void {
    this.health?.close();
    this.stub.close();
  }
}

function credentialsOf(tls: ClientTls | true | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  if (tls === true) return credentials.createSsl();
  const bytes = (pem: string | Buffer | undefined) => (pem === undefined ? null : Buffer.from(pem));
  return credentials.createSsl(bytes(tls.ca), bytes(tls.key), bytes(tls.cert));
}

function channelOptions(tls: ClientTls | true | undefined): ChannelOptions {
  const serverName = typeof tls === 'object' ? tls.serverName : undefined;
  return {
    'grpc.enable_channelz': 0,
    // A sidecar is restarted beside its client: it should be found again in a moment, not after seconds.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2_000,
    // A connection that died in silence is noticed.
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 5_000,
    'grpc.max_receive_message_length': 16 * 1024 * 1024,
    ...(serverName === undefined
      ? {}
      : { 'grpc.ssl_target_name_override': serverName, 'grpc.default_authority': serverName }),
  };
}
