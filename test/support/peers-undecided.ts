import type { AddressInfo } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import { Failure } from '../../src/domain/failure.js';
import { systemTimers } from '../../src/observability/system-timers.js';
import { silentLogger } from '../../src/ports/logger.js';
import type { Authorizer } from '../../src/service/authorizer.js';
import { Readiness } from '../../src/service/readiness.js';
import { extAuthzService } from '../../src/transport/grpc/ext-authz-service.js';
import { createGrpcServer, type GrpcServer } from '../../src/transport/grpc/server.js';
import { forwardAuth } from '../../src/transport/http/forward-auth.js';

const authorizer: Authorizer = {
  authorize() {
    throw new Failure('unavailable', 'No lease and no database.');
  },
};

/** A sidecar that is up and can decide nothing: both surfaces as they are, over an authorizer that has no database. */
export class UndecidedSidecar {
  private constructor(
    private readonly grpc: GrpcServer,
    private readonly http: FastifyInstance,
    readonly grpcPort: number,
  ) {}

  static async start(): Promise<UndecidedSidecar> {
    const parts = { authorizer, rules: { routes: null, trustMethodHeaders: false }, logger: silentLogger };
    const readiness = new Readiness(['grpc']);
    readiness.mark('grpc', true);
    const grpc = createGrpcServer({
      services: [extAuthzService(parts)],
      readiness,
      timers: systemTimers,
      logger: silentLogger,
      tls: null,
    });
    const bound = await grpc.bind({ kind: 'tcp', host: '127.0.0.1', port: 0, text: '127.0.0.1:0' });
    const http = fastify();
    await http.register(forwardAuth(parts));
    await http.listen({ host: '127.0.0.1', port: 0 });
    return new UndecidedSidecar(grpc, http, Number(bound.split(':')[1]));
  }

  get httpPort(): number {
    return (this.http.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.http.server.closeAllConnections();
    await Promise.all([this.grpc.drain(0), this.http.close()]);
  }
}
