import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { SessionConfig } from '../../config.js';
import { DEV_SESSION_COOKIE } from './sessions/dev-sessions.js';

interface Operation {
  requestBody?: { required?: boolean };
}

const DESCRIPTION = `Create, list, revoke and rotate the API keys of the signed-in account.

Calls are authenticated by the platform's browser session cookie, never by an API key. A page of another origin may
call only when the operator listed its origin. Every error is \`application/problem+json\` (RFC 9457); \`type\` names its
kind and is stable.`;

/** Options that make `@fastify/swagger` write the OpenAPI 3.1 document of the REST interface. */
export function openapiOptions(session: SessionConfig): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Latchkey key management',
        version: '1.0.0',
        description: DESCRIPTION,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags: [
        { name: 'keys', description: 'The API keys of the account.' },
        { name: 'workflows', description: 'What a key may be scoped to.' },
        { name: 'about', description: 'This document.' },
      ],
      components: {
        securitySchemes: {
          session: {
            type: 'apiKey',
            in: 'cookie',
            name: session.mode === 'dev' ? DEV_SESSION_COOKIE : session.cookie,
            description: "The platform's browser session.",
          },
        },
      },
      security: [{ session: [] }],
    },
    refResolver: {
      buildLocalReference: (schema, _base, _fragment, index) =>
        typeof schema.$id === 'string' ? schema.$id : `schema-${index}`,
    },
    transformObject: (document) => {
      const openapiObject = (document as { openapiObject: object & { paths?: unknown } }).openapiObject;
      const paths = openapiObject.paths as Record<string, Record<string, Operation>>;
      for (const operations of Object.values(paths)) {
        // Answered as HTTP has it, and not worth a second description of each GET.
        delete operations.head;
        for (const operation of Object.values(operations)) {
          // The generator takes every body for required; only an empty one is valid where a schema asks for nothing.
          if (operation.requestBody !== undefined && isOptionalBody(operation)) operation.requestBody.required = false;
        }
      }
      return openapiObject as ReturnType<NonNullable<FastifyDynamicSwaggerOptions['transformObject']>>;
    },
  };
}

/** The marker of a route whose body may be left out. */
export const OPTIONAL_BODY = 'x-optional-body';

function isOptionalBody(operation: object): boolean {
  const optional = OPTIONAL_BODY in operation;
  delete (operation as Record<string, unknown>)[OPTIONAL_BODY];
  return optional;
}
