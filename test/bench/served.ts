import { CheckRequest } from '../../src/gen/envoy/service/auth/v3/external_auth.js';
import {
  AuthorizeBatchResponse,
  AuthorizeResponse,
  AuthorizeStreamRequest,
} from '../../src/gen/latchkey/v1/authorization_service.js';
import { Reason } from '../../src/gen/latchkey/v1/decision.js';
import { type BenchDatabase, KEYS_PER_ACCOUNT } from './bench-databases.js';
import { benchKey, benchWorkflow } from './bench-keys.js';
import { BenchProgram, type BenchProgramOptions } from './bench-program.js';
import { encodeBatchRequest, encodeRequest } from './encode-request.js';
import { RawGrpcClient } from './raw-grpc-client.js';
import type { BenchContext } from './row.js';

export const AUTHORIZE = 'latchkey.v1.AuthorizationService/Authorize';
export const AUTHORIZE_BATCH = 'latchkey.v1.AuthorizationService/AuthorizeBatch';
export const AUTHORIZE_STREAM = 'latchkey.v1.AuthorizationService/AuthorizeStream';
export const CHECK = 'envoy.service.auth.v3.Authorization/Check';
export const CONSTANT = 'latchkey.bench.Constant/Answer';

/** Cores: the load comes from one and the server has the other. */
export const LOAD_CORE = '0';
export const SERVER_CORE = '1';

const METHOD = 'nodes.getOutput';
const WARMED = 1000;

/** The built program on a database of its own, with a thousand keys in memory. */
export interface Served {
  readonly program: BenchProgram;
  readonly database: BenchDatabase;
  /** A connection to its gRPC listener. */
  readonly client: RawGrpcClient;
  urlOf(path: string): string;
}

/** Starts it, asks for a thousand keys, runs `use` and takes everything down again. */
export async function withServed<T>(
  { databases }: BenchContext,
  options: Omit<BenchProgramOptions, 'databaseUrl'> & { readonly keys?: number },
  use: (served: Served) => Promise<T>,
): Promise<T> {
  const { keys = WARMED, ...rest } = options;
  const database = await databases.create(keys);
  const program = await BenchProgram.start({ cores: SERVER_CORE, databaseUrl: database.url, ...rest });
  const client = await RawGrpcClient.connect(program.grpc);
  try {
    for (let from = 0; from < Math.min(keys, WARMED); from += 100) {
      const batch = Array.from({ length: 100 }, (_, index) => questionOf(from + index));
      expectGranted(await client.call(`/${AUTHORIZE_BATCH}`, encodeBatchRequest(batch)), batch.length);
    }
    return await use({ program, database, client, urlOf: (path) => `http://${program.grpc}/${path}` });
  } finally {
    client.close();
    await program.stop();
  }
}

/** The question that every row asks of key number `index`, on the wire: is granted. */
export function questionOf(index: number): Buffer {
  return encodeRequest(benchKey(index), benchWorkflow(Math.floor(index / KEYS_PER_ACCOUNT)), METHOD);
}

/** The same of any key. */
export function questionWith(rawKey: string): Buffer {
  return encodeRequest(rawKey, benchWorkflow(0), METHOD);
}

/** The same question as a proxy asks it, with the headers of an ordinary browser's request. */
export function checkOf(index: number): Buffer {
  return Buffer.from(
    CheckRequest.encode(
      CheckRequest.fromPartial({
        attributes: {
          request: {
            http: {
              method: 'GET',
              path: `/workflows/${benchWorkflow(Math.floor(index / KEYS_PER_ACCOUNT))}/nodes?limit=20`,
              headers: {
                ':authority': 'api.example.com',
                ':method': 'GET',
                ':path': `/workflows/${benchWorkflow(Math.floor(index / KEYS_PER_ACCOUNT))}/nodes?limit=20`,
                ':scheme': 'https',
                accept: 'application/json',
                'accept-encoding': 'gzip, deflate, br',
                authorization: `Bearer ${benchKey(index)}`,
                'content-type': 'application/json',
                'user-agent': 'noclick-sdk/2.4 node/20',
                'x-forwarded-for': '203.0.113.9',
                'x-forwarded-proto': 'https',
                'x-request-id': '6f1c2f4e-9f7d-4e0b-8a52-0d5a9c1f7b11',
              },
            },
          },
          contextExtensions: {
            method: METHOD,
            workflow_id: benchWorkflow(Math.floor(index / KEYS_PER_ACCOUNT)),
          },
        },
      }),
    ).finish(),
  );
}

/** A message of an `AuthorizeStream`. */
export function streamQuestionOf(index: number, correlationId: bigint): Buffer {
  const request = {
    key: benchKey(index),
    workflowId: benchWorkflow(Math.floor(index / KEYS_PER_ACCOUNT)),
    method: METHOD,
  };
  return Buffer.from(AuthorizeStreamRequest.encode({ correlationId, request }).finish());
}

/** Throws unless an `AuthorizeResponse`, or each of a batch of `count`, is granted. */
export function expectGranted(answer: Buffer | null, count?: number): void {
  if (answer === null) throw new Error('a call ended without an answer');
  const responses =
    count === undefined ? [AuthorizeResponse.decode(answer)] : AuthorizeBatchResponse.decode(answer).responses;
  if (responses.length !== (count ?? 1) || responses.some(({ reason }) => reason !== Reason.GRANTED)) {
    throw new Error('a key that should be granted is not');
  }
}
