import cluster from 'node:cluster';
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import type { ListenAddress } from '../../config.js';
import type { Timers } from '../../ports/clock.js';
import type { Logger } from '../../ports/logger.js';
import type { Tracing } from '../../ports/tracing.js';
import type { Readiness } from '../../service/readiness.js';
import { removeStaleSocket } from '../stale-socket.js';
import type { GrpcService } from './grpc-service.js';
import { Health } from './health.js';
import { StreamingCalls } from './interceptors/streaming-calls.js';
import { tracedCalls } from './interceptors/traced-calls.js';
import { addReflection, REFLECTION_SERVICES } from './reflection.js';
import { keepSessionsYoung } from './young-sessions.js';

/** What a gRPC server is made of. */
export interface GrpcServerParts {
  /** What it serves, besides health and reflection. */
  readonly services: readonly GrpcService[];
  /** Drives health: `SERVING` while ready. */
  readonly readiness: Readiness;
  readonly timers: Timers;
  readonly logger: Logger;
  /** For TCP addresses; `null`: plain text. Unix sockets are plain text always: the file's permissions guard them. */
  readonly tls: ServerCredentials | null;
  /** `null`: nothing is traced, and nothing done for it. */
  readonly tracing?: Tracing | null;
}

/** A running gRPC server. */
export interface GrpcServer {
  /**
   * Listens on one more address and returns it with the port that was bound. Rejects with a readable error.
   *
   * The socket file of a killed process is taken over. Not in a worker of a cluster, where siblings may be serving the
   * same file: there the first process must have removed it.
   */
  bind(address: ListenAddress): Promise<string>;
  /**
   * Stops gracefully: health says `NOT_SERVING`, no new connection or call is taken, open streams end with `UNAVAILABLE`,
   * running calls get `deadlineMs` to finish, and what is left then is cut. Returns whether nothing had to be cut.
   * Called again, it waits no longer than the new deadline from then on, and returns the same result; connections are
   * still cut at the first one.
   */
  drain(deadlineMs: number): Promise<boolean>;
  /** Streaming calls now open. */
  readonly openStreams: number;
}

/** Largest request, in bytes: room for a batch of 1000 with generous ids. */
export const REQUEST_BYTES_MAX = 4 * 1024 * 1024;

/** Calls that one connection may have open; more wait at the client. */
export const CALLS_PER_CONNECTION_MAX = 1000;

/** How long, in ms, connections that are cut get to say so to their peers. */
const CUT_MS = 50;

/** Builds a gRPC server with health and reflection. It does not listen until an address is bound. */
export function createGrpcServer(parts: GrpcServerParts): GrpcServer {
  const { services, readiness, timers, logger, tls } = parts;
  // The library writes to stderr otherwise, and its traces may show request headers. What matters reaches us as errors.
  setLogVerbosity(logVerbosity.NONE);

  const streams = new StreamingCalls();
  const server = new Server({
    'grpc.max_concurrent_streams': CALLS_PER_CONNECTION_MAX,
    'grpc.max_receive_message_length': REQUEST_BYTES_MAX,
    // Bookkeeping for each call, for a debugging service that is not offered.
    'grpc.enable_channelz': 0,
    // A peer that vanished without closing is found, and its streams end, within half a minute.
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 10_000,
    interceptors: [
      // Outermost, for it is to see how every call ends. Not there at all when nothing is traced.
      ...(parts.tracing ? [tracedCalls(parts.tracing)] : []),
      // Nearest to the connection, so that what the others wrap ends with the server. It returns unary calls as they
      // are: anything done here is paid for on every call.
      streams.interceptor,
      ...services.flatMap(({ interceptor }) => interceptor ?? []),
    ],
  });
  const served = services.map((service) => service.name);
  const health = new Health([...served, ...REFLECTION_SERVICES, 'grpc.health.v1.Health']);
  for (const service of [...services, health.service]) server.addService(service.definition, service.implementation);
  addReflection(server, [...served, health.service.name]);

  const unsubscribe = readiness.subscribe((ready) => health.set(ready));
  const targets: string[] = [];
  let drained: Promise<boolean> | undefined;
  /** Waits for the shutdown no longer than this, from now. */
  let hurry: (deadlineMs: number) => void = () => {};

  /** Waits for running calls, but not longer than the deadline. */
  function shutDown(deadlineMs: number): Promise<boolean> {
    unsubscribe();
    health.set(false);
    return new Promise((resolve) => {
      let cut = false;
      let cancelWait = () => {};
      hurry = (ms) => {
        cancelWait();
        cancelWait = timers.after(ms, () => {
          cut = true;
          logger.warn('calls were still running at the end of the drain and were cut', { deadlineMs: ms });
          // A peer that does not close its side either could hold this up without end.
          cancelWait = timers.after(CUT_MS, () => resolve(false));
        });
      };
      hurry(deadlineMs);
      // First of all, because only connections that are not closing yet are cut at its deadline. (Nor does
      // forceShutdown reach them: without channelz it knows of no connection.)
      for (const target of targets) server.drain(target, deadlineMs);
      server.tryShutdown(() => {
        cancelWait();
        // A later, shorter deadline has nothing left to wait for.
        hurry = () => {};
        resolve(!cut);
      });
      streams.drain();
    });
  }

  return {
    async bind(address) {
      if (address.kind === 'unix' && !cluster.isWorker) await removeStaleSocket(address.path);
      const target = address.kind === 'unix' ? `unix:${address.path}` : hostAndPort(address.host, address.port);
      const credentials = address.kind === 'tcp' && tls !== null ? tls : ServerCredentials.createInsecure();
      const port = await new Promise<number>((resolve, reject) => {
        server.bindAsync(target, credentials, (error, bound) => {
          if (error === null) resolve(bound);
          else reject(new Error(`cannot listen on ${address.text}: ${error.message}`, { cause: error }));
        });
      });
      keepSessionsYoung(server);
      const bound = address.kind === 'unix' ? target : hostAndPort(address.host, port);
      targets.push(bound);
      logger.info('gRPC is listening', { address: bound, tls: credentials === tls, services: served });
      return bound;
    },
    drain(deadlineMs) {
      if (drained === undefined) drained = shutDown(deadlineMs);
      else hurry(deadlineMs);
      return drained;
    },
    get openStreams() {
      return streams.size;
    },
  };
}

/** `host:port`, with the brackets that IPv6 needs. */
function hostAndPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
