import { Client, credentials, type ServiceDefinition } from '@grpc/grpc-js';
import { Registry } from 'prom-client';
import { AuthorizeBatchResponse, AuthorizeResponse } from '../../src/gen/latchkey/v1/authorization_service.js';
import { Reason } from '../../src/gen/latchkey/v1/decision.js';
import { PrometheusMetrics } from '../../src/observability/prometheus-metrics.js';
import { systemTimers } from '../../src/observability/system-timers.js';
import { silentLogger } from '../../src/ports/logger.js';
import { Readiness } from '../../src/service/readiness.js';
import { authorizationService } from '../../src/transport/grpc/authorization-service.js';
import type { GrpcService } from '../../src/transport/grpc/grpc-service.js';
import { createGrpcServer } from '../../src/transport/grpc/server.js';
import { createDecisionFixture } from './decision-fixture.js';
import { encodeBatchRequest, encodeRequest } from './encode-request.js';

/**
 * The program's gRPC server with everything in memory, and beside its services one that answers a constant with codecs
 * that do nothing: the ceiling. Prints its port and the messages to send as one line of JSON.
 */
const KEYS = 1000;
const BATCH = 100;
const CONSTANT = Buffer.from([0x08, 0x01, 0x10, 0x01]);

const identity = (bytes: Buffer): Buffer => bytes;
const constant: GrpcService = {
  name: 'latchkey.bench.Constant',
  definition: {
    answer: {
      path: '/latchkey.bench.Constant/Answer',
      requestStream: false,
      responseStream: false,
      requestSerialize: identity,
      requestDeserialize: identity,
      responseSerialize: identity,
      responseDeserialize: identity,
    },
  } satisfies ServiceDefinition,
  implementation: {
    answer(_call: unknown, callback: (error: null, answer: Buffer) => void) {
      callback(null, CONSTANT);
    },
  },
};

const { authorizer, questions } = await createDecisionFixture(KEYS);
const server = createGrpcServer({
  services: [
    constant,
    authorizationService({
      authorizer,
      watch: {
        watch(): never {
          throw new Error('nothing to watch');
        },
      },
      timers: systemTimers,
      metrics: new PrometheusMetrics(new Registry(), { version: 'bench', node: process.version }),
      logger: silentLogger,
    }),
  ],
  readiness: new Readiness(['grpc']),
  timers: systemTimers,
  logger: silentLogger,
  tls: null,
});
const address = await server.bind({ kind: 'tcp', host: '127.0.0.1', port: 0, text: '127.0.0.1:0' });
const bodies = questions
  .slice(0, BATCH)
  .map(({ rawKey, workflowId }) => encodeRequest(rawKey, workflowId, 'nodes.getOutput'));
const batch = encodeBatchRequest(bodies);
// h2load does not look at gRPC's status: before it counts answers, they are seen to be the right ones.
const client = new Client(address, credentials.createInsecure());
const single = await ask('Authorize', bodies[0] as Buffer);
if (AuthorizeResponse.decode(single).reason !== Reason.GRANTED) throw new Error('the key is not granted');
const many = AuthorizeBatchResponse.decode(await ask('AuthorizeBatch', batch)).responses;
if (many.length !== BATCH || many.some(({ reason }) => reason !== Reason.GRANTED)) {
  throw new Error('the batch is not granted');
}
client.close();
process.stdout.write(
  `${JSON.stringify({
    address,
    request: bodies[0]?.toString('base64'),
    batch: batch.toString('base64'),
    batchSize: BATCH,
  })}\n`,
);

function ask(method: string, message: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const path = `/latchkey.v1.AuthorizationService/${method}`;
    client.makeUnaryRequest(path, identity, identity, message, (error, answer) => {
      if (error !== null || answer === undefined) reject(error ?? new Error('no answer'));
      else resolve(answer);
    });
  });
}
