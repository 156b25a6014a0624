import { CheckResponse } from '../../../src/gen/envoy/service/auth/v3/external_auth.js';
import { againstUnary } from '../against-unary.js';
import type { Row } from '../row.js';
import { CHECK, checkOf } from '../served.js';

/** `Check`, as Envoy asks it. */
export const checkRow: Row = {
  name: 'check',
  title: 'Check (ext_authz), cached',
  method: 'As unary; a request with twelve headers whose route names method and workflow, in turns with unary calls.',
  run(context) {
    const message = checkOf(0);
    return againstUnary(context, {
      what: 'calls a second',
      atLeast: 0.7,
      decisionsPerCall: 1,
      plan: { path: CHECK, messages: [message], requests: 10_000, concurrency: 32 },
      verify: async ({ client }) => {
        const answer = await client.call(`/${CHECK}`, message);
        if (answer === null || CheckResponse.decode(answer).status?.code !== 0) throw new Error('the check is not OK');
      },
    });
  },
};
