import fastifyCookie from '@fastify/cookie';
import { type FastifyPluginAsyncTypebox, Type } from '@fastify/type-provider-typebox';
import { requireLoopbackHost } from './loopback-host.js';
import { DEV_SESSION_COOKIE, isDevAccount } from './sessions/dev-sessions.js';
import { invalid } from './validate.js';

const DEFAULT_ACCOUNT = 'dev';

/** `GET /dev/login?account=dev`: starts a development session and goes to the settings page. */
export const devLogin: FastifyPluginAsyncTypebox = async (app) => {
  await app.register(fastifyCookie);
  app.get(
    '/dev/login',
    {
      onRequest: async (request) => requireLoopbackHost(request),
      schema: { hide: true, querystring: Type.Object({ account: Type.Optional(Type.Unsafe<unknown>({})) }) },
    },
    async (request, reply) => {
      const { account = DEFAULT_ACCOUNT } = request.query;
      // `readQuery` turns digits into a number; an account may be made of them.
      const name = typeof account === 'number' ? String(account) : account;
      if (typeof name !== 'string' || !isDevAccount(name)) {
        throw invalid([{ field: 'account', pointer: '/account', message: 'must be letters, digits and . _ @ -' }]);
      }
      return reply
        .setCookie(DEV_SESSION_COOKIE, name, { path: '/', httpOnly: true, sameSite: 'strict' })
        .redirect('/settings/developer', 303);
    },
  );
};
