import { againstUnary } from '../against-unary.js';
import { encodeBatchRequest } from '../encode-request.js';
import type { Row } from '../row.js';
import { AUTHORIZE_BATCH, expectGranted, questionOf } from '../served.js';

const BATCH = 100;

/** `AuthorizeBatch` of a hundred keys. */
export const batchRow: Row = {
  name: 'batch',
  title: `AuthorizeBatch of ${BATCH}`,
  method:
    'As unary; rounds of 1 000 batches of 100 different keys alternate with rounds of 10 000 unary calls of the same server.',
  run(context) {
    const message = encodeBatchRequest(Array.from({ length: BATCH }, (_, index) => questionOf(index)));
    return againstUnary(context, {
      what: 'decisions a second',
      atLeast: 12,
      decisionsPerCall: BATCH,
      plan: { path: AUTHORIZE_BATCH, messages: [message], requests: 1_000, concurrency: 32 },
      verify: async ({ client }) => expectGranted(await client.call(`/${AUTHORIZE_BATCH}`, message), BATCH),
    });
  },
};
