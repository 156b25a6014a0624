import type { ServerInterceptor, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';

/** One gRPC service, ready to be served by `createGrpcServer`. */
export interface GrpcService {
  /** Full name, e.g. `latchkey.v1.AuthorizationService`; reported by health and reflection. */
  readonly name: string;
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
  /** Sees every call of the server, behind the server's own interceptors; must pass on at once what is not its own. */
  readonly interceptor?: ServerInterceptor;
}
