import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';

/** One gRPC service, ready to be served by `createGrpcServer`. */
export interface GrpcService {
  /** Full name, e.g. `latchkey.v1.AuthorizationService`; reported by health and reflection. */
  readonly name: string;
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
}
