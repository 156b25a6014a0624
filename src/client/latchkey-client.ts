import { Metadata } from '@grpc/grpc-js';
import type { AuthorizeBatchResponse, AuthorizeResponse } from '../gen/latchkey/v1/authorization_service.js';
import { BATCH_MAX, Batcher } from './batcher.js';
import { type Decision, decisionFromProto, type Question, requestOf } from './decision.js';
import { type DecisionStream, LastingDecisionStream } from './decision-stream.js';
import { Endpoints } from './endpoints.js';
import { type CallOptions, checkDeadline, checkOptions, type LatchkeyClientOptions } from './options.js';
import { UndecidedError } from './undecided-error.js';
import { type WatchEvent, type WatchOptions, watchRevocations } from './watch-revocations.js';

/** Asks sidecars. Made by {@link createLatchkeyClient}. */
export interface LatchkeyClient {
  /**
   * Decides about one call. A denial is an answer. Rejects with `UndecidedError` when no decision could be made: the
   * caller must then refuse.
   */
  authorize(question: Question, options?: CallOptions): Promise<Decision>;
  /**
   * Decides about up to 1000 calls, each on its own; answers come in the order of the questions. Rejects when any one
   * decision could not be made.
   */
  authorizeBatch(questions: readonly Question[], options?: CallOptions): Promise<readonly Decision[]>;
  /**
   * Decides about many calls over one lasting stream, which costs least for each: for a gateway that asks about every
   * event of its connections. It is opened by the first question and reconnects by itself.
   */
  authorizeStream(): DecisionStream;
  /** Watches revocations, resuming by itself, until its signal aborts, the loop is left or the client is closed. */
  watchRevocations(options?: WatchOptions): AsyncIterable<WatchEvent>;
  /** Closes every connection. Calls under way end with `CANCELLED`; watches end. */
  close(): void;
}

/**
 * Makes a client of one or several sidecars. It connects when it is first needed, and reconnects by itself.
 *
 * ```ts
 * import { createLatchkeyClient } from 'latchkey/client';
 *
 * const latchkey = createLatchkeyClient({ address: '127.0.0.1:50051' });
 *
 * const { allowed, reason, accountId } = await latchkey.authorize({
 *   key: request.headers['x-api-key'],
 *   workflowId: request.params.workflowId,
 *   method: 'nodes.getOutput',
 * });
 * if (!allowed) throw new Forbidden(reason);
 *
 * for await (const event of latchkey.watchRevocations()) {
 *   if (event.kind === 'revoked') closeSocketsOf(event.keyId);
 *   if (event.kind === 'recheck') await authorizeEverySocketAgain();
 * }
 * ```
 *
 * Throws a `RangeError` for an unusable option.
 */
export function createLatchkeyClient(options: LatchkeyClientOptions): LatchkeyClient {
  checkOptions(options);
  const endpoints = new Endpoints(options);
  const metadata = new Metadata();

  const one = async (question: Question, call: CallOptions = {}): Promise<Decision> => {
    const request = requestOf(question);
    const answer = await endpoints.call<AuthorizeResponse>(
      (stub, deadline, done) => stub.authorize(request, metadata, { deadline }, done),
      call.deadlineMs,
      call.signal,
    );
    return decisionFromProto(answer);
  };

  const many = async (questions: readonly Question[], call: CallOptions = {}): Promise<readonly Decision[]> => {
    if (questions.length === 0) return [];
    if (questions.length > BATCH_MAX) {
      throw new UndecidedError('INVALID_ARGUMENT', `a batch holds at most ${BATCH_MAX} questions`);
    }
    const requests = questions.map(requestOf);
    const { responses } = await endpoints.call<AuthorizeBatchResponse>(
      (stub, deadline, done) => stub.authorizeBatch({ requests }, metadata, { deadline }, done),
      call.deadlineMs,
      call.signal,
    );
    if (responses.length !== questions.length) {
      throw new UndecidedError('INTERNAL', 'the server left a question unanswered');
    }
    return responses.map(decisionFromProto);
  };

  const batcher = options.batching === true ? new Batcher({ one, many }) : null;

  return {
    async authorize(question, call) {
      checkDeadline(call?.deadlineMs);
      // A call with a deadline or a signal of its own cannot share those of others.
      return batcher === null || call !== undefined ? one(question, call) : batcher.ask(question);
    },
    async authorizeBatch(questions, call) {
      checkDeadline(call?.deadlineMs);
      return many(questions, call);
    },
    authorizeStream: () => new LastingDecisionStream({ endpoints, alone: one, deadlineMs: options.deadlineMs }),
    watchRevocations: (watch = {}) => watchRevocations(endpoints, watch),
    close: () => endpoints.close(),
  };
}
