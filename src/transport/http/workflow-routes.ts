import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { KeyService } from '../../service/keys.js';
import { answers } from './documented.js';

/** `/workflows`: what a key may be scoped to. */
export const workflowRoutes: FastifyPluginAsyncTypebox<{ readonly keys: KeyService }> = async (app, { keys }) => {
  app.get(
    '/workflows',
    {
      schema: {
        operationId: 'listWorkflows',
        tags: ['workflows'],
        summary: 'List the workflows of the account, by name',
        response: answers(
          { 200: { type: 'array', items: { $ref: 'Workflow#' }, description: 'The workflows.' } },
          {
            unauthenticated: 'The request carries no valid session of the platform. Sign in and try again.',
            misdirected: 'Development sessions are served under localhost and loopback addresses only.',
            unavailable: 'The database cannot be reached; try again.',
          },
        ),
      },
    },
    async (request) => {
      const workflows = await keys.workflows(request.accountId);
      return workflows.map(({ id, name }) => ({ id, name }));
    },
  );
};
