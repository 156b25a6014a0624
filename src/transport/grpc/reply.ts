import type { sendUnaryData } from '@grpc/grpc-js';
import type { Awaitable } from '../../ports/awaitable.js';
import type { Logger } from '../../ports/logger.js';
import { failedCall } from './status.js';
import { BrokenMessage } from './wire.js';

/**
 * Answers a unary call: with what `answer` returns, or with the status of what it throws or rejects with. A request that
 * could not be decoded is refused without asking.
 *
 * At once when the answer is no promise: a decision from memory never waits for a microtask.
 */
export function reply<Request, Response>(
  request: Request | BrokenMessage,
  callback: sendUnaryData<Response>,
  logger: Logger,
  answer: (request: Request) => Awaitable<Response>,
): void {
  if (request instanceof BrokenMessage) {
    callback(failedCall(request, logger));
    return;
  }
  let response: Awaitable<Response>;
  try {
    response = answer(request);
  } catch (error) {
    callback(failedCall(error, logger));
    return;
  }
  if (response instanceof Promise) {
    response.then(
      (value) => callback(null, value),
      (error: unknown) => callback(failedCall(error, logger)),
    );
  } else callback(null, response);
}
