import fastifyRateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { HttpProblem } from './problem.js';

const WINDOW_MS = 60_000;

/**
 * Bounds how many keys an account may make in a minute, by creation and rotation together, in this process.
 *
 * The count is kept for the 5000 accounts that asked last. The function it resolves to counts one and throws an
 * {@link HttpProblem} `too-many-requests` (429) past `perMinute`.
 */
export async function creationAllowance(
  app: FastifyInstance,
  perMinute: number,
): Promise<(request: FastifyRequest) => Promise<void>> {
  await app.register(fastifyRateLimit, { global: false });
  const spend = app.createRateLimit({
    max: perMinute,
    timeWindow: WINDOW_MS,
    keyGenerator: (request) => request.accountId,
  });
  return async (request) => {
    const outcome = await spend(request);
    if (outcome.isAllowed || !outcome.isExceeded) return;
    throw new HttpProblem('too-many-requests', `At most ${perMinute} keys can be made in a minute; try again later.`, {
      retryAfterSeconds: Math.max(1, outcome.ttlInSeconds),
    });
  };
}
