import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { type ChannelCredentials, type ChannelOptions, credentials } from '@grpc/grpc-js';
import { AuthorizationServiceClient } from '../gen/latchkey/v1/authorization_service.js';
import { HealthWatch } from './health-watch.js';
import type { ClientTls } from './options.js';

/** One sidecar: its connection, and what is known of its health. */
export class Endpoint {
  readonly stub: AuthorizationServiceClient;
  private readonly health: HealthWatch | null;

  constructor(address: string, tls: ClientTls | true | undefined, healthChecks: boolean) {
    this.stub = new AuthorizationServiceClient(address, credentialsOf(address, tls), channelOptions(address, tls));
    this.health = healthChecks ? new HealthWatch(this.stub) : null;
  }

  /** Whether it has not said that it is not serving. */
  get usable(): boolean {
    return this.health?.state !== 'not-serving';
  }

  /** Whether it has said that it is serving. */
  get serving(): boolean {
    return this.health?.state === 'serving';
  }

  close(): void {
    this.health?.close();
    this.stub.close();
  }
}

/** Name that is sent to a server that is addressed by number: TLS has no way to name a number, and grpc-js must send one. */
const NAME_OF_A_NUMBER = 'localhost';

function credentialsOf(address: string, tls: ClientTls | true | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const { ca, key, cert, serverName } = tls === true ? {} : tls;
  const bytes = (pem: string | Buffer | undefined) => (pem === undefined ? null : Buffer.from(pem));
  const ip = serverName === undefined ? ipOf(address) : null;
  // Whatever name was sent, the certificate must be of that number.
  const checks =
    ip === null ? {} : { checkServerIdentity: (_: string, shown: PeerCertificate) => checkServerIdentity(ip, shown) };
  return credentials.createSsl(bytes(ca), bytes(key), bytes(cert), checks);
}

function channelOptions(address: string, tls: ClientTls | true | undefined): ChannelOptions {
  const serverName = typeof tls === 'object' ? tls.serverName : undefined;
  // Without a name grpc-js would send the number as one, which Node.js 26 refuses and older ones warn of.
  const sentName = serverName ?? (tls !== undefined && ipOf(address) !== null ? NAME_OF_A_NUMBER : undefined);
  return {
    'grpc.enable_channelz': 0,
    // A sidecar is restarted beside its client: it should be found again in a moment, not after seconds.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2_000,
    // A connection that died in silence is noticed.
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 5_000,
    'grpc.max_receive_message_length': 16 * 1024 * 1024,
    ...(sentName === undefined ? {} : { 'grpc.ssl_target_name_override': sentName }),
    ...(serverName === undefined ? {} : { 'grpc.default_authority': serverName }),
  };
}

/** The IP address in `1.2.3.4:50051` or `[::1]:50051`; `null` where a name stands. */
function ipOf(address: string): string | null {
  const host = address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return isIP(host) === 0 ? null : host;
}
