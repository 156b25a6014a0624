import { fileURLToPath } from 'node:url';
import { type ClientDuplexStream, type ClientReadableStream, credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** An answer of Latchkey, as `latchkey.v1.AuthorizeResponse` says it; enums by name. */
export interface Answer {
  readonly decision: string;
  readonly reason: string;
  readonly key_id: string;
  readonly account_id: string;
  /** The scope to keep to: one workflow, or `''` for all of the account's. */
  readonly workflow_id: string;
  readonly required_permission: string;
}

/** One message of `WatchRevocations`; numbers of 64 bits as text. */
export interface WatchMessage {
  readonly sequence: string;
  readonly revocation?: { readonly key_id: string; readonly account_id: string };
}

export type DecisionCall = ClientDuplexStream<
  { correlation_id: string; request: { key: string; workflow_id: string; method: string } },
  { correlation_id: string; response: Answer }
>;

/** The two streams of `latchkey.v1.AuthorizationService` that a gateway needs. */
export interface LatchkeyClient {
  authorizeStream(): DecisionCall;
  watchRevocations(request: { after_sequence: string }): ClientReadableStream<WatchMessage>;
  close(): void;
}

/**
 * Connects to a sidecar, from the `.proto` files alone: this is what it takes without generated code.
 *
 * @param address `host:port`, or `unix:/path`, of a sidecar beside this gateway
 */
export function connectToLatchkey(address: string): LatchkeyClient {
  const definition = loadSync('latchkey/v1/authorization_service.proto', {
    includeDirs: [fileURLToPath(new URL('../../proto', import.meta.url))],
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
  });
  const { latchkey } = loadPackageDefinition(definition) as unknown as {
    latchkey: {
      v1: { AuthorizationService: new (target: string, channel: unknown, options: object) => LatchkeyClient };
    };
  };
  const options = {
    // A sidecar that is gone without a word is noticed within seconds.
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 5_000,
    // After a restart of the sidecar the gateway is back in about a second, not in the library's two minutes.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1_000,
  };
  return new latchkey.v1.AuthorizationService(address, credentials.createInsecure(), options);
}
