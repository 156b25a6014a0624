import { Client, credentials } from '@grpc/grpc-js';
import { AuthorizeStreamResponse } from '../../../src/gen/latchkey/v1/authorization_service.js';
import { Reason } from '../../../src/gen/latchkey/v1/decision.js';
import { againstUnary } from '../against-unary.js';
import type { Row } from '../row.js';
import { AUTHORIZE_STREAM, streamQuestionOf } from '../served.js';

const MESSAGES = 500;

/** `AuthorizeStream`, as fast as the connection takes questions. */
export const streamRow: Row = {
  name: 'stream',
  title: 'AuthorizeStream',
  method:
    'As unary; each call is a stream of 500 questions that are sent without waiting for answers, 4 streams a connection. h2load fills DATA frames, so that several questions travel in one.',
  run(context) {
    const messages = Array.from({ length: MESSAGES }, (_, index) => streamQuestionOf(index, BigInt(index + 1)));
    return againstUnary(context, {
      what: 'decisions a second',
      atLeast: 3,
      decisionsPerCall: MESSAGES,
      plan: { path: AUTHORIZE_STREAM, messages, requests: 400, concurrency: 4 },
      verify: ({ program }) => verify(program.grpc, messages),
    });
  },
};

/** Every question is granted, under its own number. */
async function verify(address: string, messages: readonly Buffer[]): Promise<void> {
  const client = new Client(address, credentials.createInsecure());
  const identity = (bytes: Buffer): Buffer => bytes;
  const call = client.makeBidiStreamRequest(`/${AUTHORIZE_STREAM}`, identity, identity);
  for (const message of messages) call.write(message);
  call.end();
  const granted = new Set<bigint>();
  for await (const answer of call) {
    const { correlationId, response } = AuthorizeStreamResponse.decode(answer as Buffer);
    if (response?.reason === Reason.GRANTED) granted.add(correlationId);
  }
  client.close();
  if (granted.size !== messages.length) throw new Error(`${granted.size} of ${messages.length} questions are granted`);
}
