import { once } from 'node:events';
import { connect } from 'node:http2';
import {
  type ChannelCredentials,
  credentials,
  Metadata,
  type ServerCredentials,
  type ServiceError,
} from '@grpc/grpc-js';
import type { ListenAddress } from '../../src/config.js';
import type { KeyRecord } from '../../src/domain/key-record.js';
import { REASONS, Reason, reasonCarriesIdentity } from '../../src/domain/reason.js';
import { AuthorizationServiceClient } from '../../src/gen/latchkey/v1/authorization_service.js';
import { systemTimers } from '../../src/observability/system-timers.js';
import type { Awaitable } from '../../src/ports/awaitable.js';
import { type Logger, silentLogger } from '../../src/ports/logger.js';
import type { Metrics, Surface } from '../../src/ports/metrics.js';
import type { Authorizer, Verdict } from '../../src/service/authorizer.js';
import { Readiness } from '../../src/service/readiness.js';
import type { RevocationWatch } from '../../src/service/revocation-watch.js';
import { authorizationService } from '../../src/transport/grpc/authorization-service.js';
import type { GrpcService } from '../../src/transport/grpc/grpc-service.js';
import { createGrpcServer, type GrpcServer } from '../../src/transport/grpc/server.js';
import { keyRecord, methodEntry } from './fakes/builders.js';
import { RecordingMetrics } from './fakes/recording-metrics.js';

/** A loopback address on a free port. */
export const ANY_PORT: ListenAddress = { kind: 'tcp', host: '127.0.0.1', port: 0, text: '127.0.0.1:0' };

/** One question as the fake authorizer saw it. */
export interface Asked {
  readonly surface: Surface;
  readonly key: string;
  readonly workflowId: string;
  readonly method: string;
}

/**
 * An authorizer that answers as the method asks: `reason:7` gives reason 7, anything else is granted. A method given to
 * {@link answer} is answered by that function instead.
 */
export class FakeAuthorizer implements Authorizer {
  readonly asked: Asked[] = [];
  key: KeyRecord = keyRecord();
  private readonly answers = new Map<string, (asked: Asked) => Awaitable<Verdict>>();

  answer(method: string, how: (asked: Asked) => Awaitable<Verdict>): void {
    this.answers.set(method, how);
  }

  authorize(surface: Surface, key: string, workflowId: string, method: string): Awaitable<Verdict> {
    const asked = { surface, key, workflowId, method };
    this.asked.push(asked);
    return this.answers.get(method)?.(asked) ?? this.verdict(reasonIn(method));
  }

  /** The verdict of a reason about {@link key}. */
  verdict(reason: Reason): Verdict {
    return {
      reason,
      key: reasonCarriesIdentity(reason) ? this.key : null,
      method: reason === Reason.METHOD_UNKNOWN ? undefined : methodEntry(),
    };
  }
}

function reasonIn(method: string): Reason {
  return REASONS.find((reason) => method === `reason:${reason}`) ?? Reason.GRANTED;
}

/** A watch that nobody may use. */
const NO_WATCH: RevocationWatch = {
  watch() {
    throw new Error('this test watches nothing');
  },
};

/** What a test may choose about its server. */
export interface TestServerOptions {
  readonly authorizer?: Authorizer;
  readonly watch?: RevocationWatch;
  readonly metrics?: Metrics;
  readonly logger?: Logger;
  readonly readiness?: Readiness;
  readonly tls?: ServerCredentials;
  readonly addresses?: readonly ListenAddress[];
  /** Instead of the authorization service. */
  readonly services?: readonly GrpcService[];
}

/** A server on real sockets. */
export interface TestServer {
  readonly server: GrpcServer;
  readonly readiness: Readiness;
  /** The first address that was bound. */
  readonly address: string;
  readonly addresses: readonly string[];
  stop(): Promise<void>;
}

const running = new Set<TestServer>();

/** Starts a server; {@link stopGrpcServers} stops it. */
export async function startGrpcServer(options: TestServerOptions = {}): Promise<TestServer> {
  const logger = options.logger ?? silentLogger;
  const readiness = options.readiness ?? new Readiness(['grpc']);
  const services = options.services ?? [
    authorizationService({
      authorizer: options.authorizer ?? new FakeAuthorizer(),
      watch: options.watch ?? NO_WATCH,
      timers: systemTimers,
      metrics: options.metrics ?? new RecordingMetrics(),
      logger,
    }),
  ];
  const server = createGrpcServer({ services, readiness, timers: systemTimers, logger, tls: options.tls ?? null });
  const addresses: string[] = [];
  for (const address of options.addresses ?? [ANY_PORT]) addresses.push(await server.bind(address));
  if (options.readiness === undefined) readiness.mark('grpc', true);
  const started: TestServer = {
    server,
    readiness,
    address: addresses[0] as string,
    addresses,
    async stop() {
      running.delete(started);
      await server.drain(100);
    },
  };
  running.add(started);
  return started;
}

const clients = new Set<{ close(): void }>();

/** Remembers a client, so that {@link stopGrpcServers} closes it. */
export function closing<T extends { close(): void }>(client: T): T {
  clients.add(client);
  return client;
}

/** A generated client. */
export function authorizationClient(
  address: string,
  channel: ChannelCredentials = credentials.createInsecure(),
): AuthorizationServiceClient {
  return closing(new AuthorizationServiceClient(address, channel));
}

/**
 * The same loopback address by name. Clients of grpc-js send the host of an address as the name of a TLS server, and
 * Node.js 26 refuses to send a number for one.
 */
export function byName(address: string): string {
  return address.replace(/^127\.0\.0\.1:/, 'localhost:');
}

/** For `afterEach`: closes every client and stops every server of the test. */
export async function stopGrpcServers(): Promise<void> {
  for (const client of clients) client.close();
  clients.clear();
  await Promise.all([...running].map((server) => server.stop()));
}

/** Makes a unary call of a generated client and returns its answer; rejects with its status. */
export function unary<Response>(
  call: (done: (error: ServiceError | null, response: Response) => void) => unknown,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    call((error, response) => (error === null ? resolve(response) : reject(error)));
  });
}

/** Reads the `reason` of the `google.rpc.ErrorInfo` in a status. */
export function errorReason(error: ServiceError): string | undefined {
  const [details] = (error.metadata ?? new Metadata()).get('grpc-status-details-bin');
  if (!Buffer.isBuffer(details)) return undefined;
  // What follows the type's name up to the reason is tags and lengths, none of which looks like a capital letter.
  return /ErrorInfo[^A-Z]+([A-Z_]+)/.exec(details.toString('latin1'))?.[1];
}

/** What came back of a raw call. */
export interface RawAnswer {
  /** `grpc-status`; `undefined` when the stream was reset. */
  readonly status: number | undefined;
  readonly message: string | undefined;
  readonly httpStatus: number | undefined;
  readonly body: Buffer;
}

/** One length-prefixed message. */
export function framed(message: Uint8Array, compressed = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = compressed;
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Sends a body as it is, valid or not, and returns what came back. */
export async function rawCall(
  address: string,
  path: string,
  body: Uint8Array,
  headers: Record<string, string> = {},
): Promise<RawAnswer> {
  const session = connect(`http://${address}`);
  try {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    const chunks: Buffer[] = [];
    let httpStatus: number | undefined;
    let status: string | undefined;
    let message: string | undefined;
    const note = (received: Record<string, unknown>) => {
      if (received['grpc-status'] !== undefined) status = received['grpc-status'] as string;
      if (received['grpc-message'] !== undefined) message = decodeURIComponent(received['grpc-message'] as string);
    };
    stream.on('response', (received) => {
      httpStatus = received[':status'];
      note(received);
    });
    stream.on('trailers', note);
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', () => {});
    stream.end(body);
    await once(stream, 'close');
    return {
      status: status === undefined ? undefined : Number(status),
      message,
      httpStatus,
      body: Buffer.concat(chunks),
    };
  } finally {
    session.destroy();
  }
}

/** Resolves when the condition holds; looked at again at each turn of the event loop. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}
