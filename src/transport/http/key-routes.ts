import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { Failure } from '../../domain/failure.js';
import { parseKeyName } from '../../domain/key-name.js';
import { ALL_PERMISSIONS, permissionSet } from '../../domain/permissions.js';
import type { Clock } from '../../ports/clock.js';
import type { Actor } from '../../ports/key-registry.js';
import type { KeyChoices, KeyService } from '../../service/keys.js';
import { ACCOUNT_TAG_HEADER, accountTag } from './account-tag.js';
import { parseDateTime } from './date-time.js';
import { answers } from './documented.js';
import { entityTag, matchesEntityTag } from './entity-tag.js';
import { formatKeyCursor, parseKeyCursor } from './key-cursor.js';
import { keyView } from './key-view.js';
import { OPTIONAL_BODY } from './openapi.js';
import { type FieldError, HttpProblem } from './problem.js';
import { receiptView } from './receipt-view.js';
import { CREATE_KEY_BODY, KEY_PARAMS, LIST_KEYS_QUERY, LIST_LIMIT_MAX, ROTATE_KEY_BODY } from './schemas.js';
import { invalid } from './validate.js';

/** What {@link keyRoutes} needs. */
export interface KeyRoutesOptions {
  readonly keys: KeyService;
  readonly clock: Clock;
  /** Counts a key that is about to be made against its account's allowance; throws `too-many-requests`. */
  readonly spendCreation: (request: FastifyRequest) => Promise<void>;
}

const UNAUTHENTICATED = 'The request carries no valid session of the platform. Sign in and try again.';
const CROSS_SITE = 'The change was sent for a page of an origin that is not allowed.';
const NO_SUCH_KEY = 'There is no such key.';
const UNAVAILABLE = 'The database cannot be reached; try again.';
const UNCONFIRMED =
  'The revocation is committed, but it could not be proven yet that every sidecar enforces it. Repeat the call.';

const READ_PROBLEMS = {
  unauthenticated: UNAUTHENTICATED,
  misdirected: 'Development sessions are served under localhost and loopback addresses only.',
  unavailable: UNAVAILABLE,
};
const WRITE_PROBLEMS = {
  ...READ_PROBLEMS,
  'cross-site': CROSS_SITE,
  'too-large': 'The body may have at most 64 KiB.',
  'unsupported-media-type': 'Send the body as application/json.',
  invalid: 'name must not be blank.',
};
const CREATION_PROBLEMS = {
  ...WRITE_PROBLEMS,
  'limit-reached': 'The account has as many active keys as it may have.',
  'too-many-requests': 'The account made many keys in the last minute; try again later.',
};

const ACCOUNT_TAG = {
  'Latchkey-Account': {
    type: 'string',
    pattern: '^[A-Za-z0-9_-]{22}$',
    description:
      "An opaque name of the session's account: another one means that somebody else has signed in in this browser.",
  },
};

/** `/keys`: create, list, revoke and rotate the user keys of the session's account. */
export const keyRoutes: FastifyPluginAsyncTypebox<KeyRoutesOptions> = async (app, { keys, clock, spendCreation }) => {
  app.post(
    '/keys',
    {
      preHandler: spendCreation,
      schema: {
        operationId: 'createKey',
        tags: ['keys'],
        summary: 'Create a key',
        description: 'The answer holds the raw key, once. Store it now; it cannot be shown again.',
        body: CREATE_KEY_BODY,
        response: answers(
          { 201: { $ref: 'CreatedKey#', description: 'The key, with the raw key.' } },
          { ...CREATION_PROBLEMS, 'not-found': 'There is no such workflow of yours.' },
        ),
      },
    },
    async (request, reply) => {
      const { key, rawKey } = await keys.create(
        request.accountId,
        keyChoices(request.body, clock.wallMs()),
        actorOf(request),
      );
      return reply.code(201).send({ ...keyView(key), raw_key: rawKey });
    },
  );

  app.get(
    '/keys',
    {
      schema: {
        operationId: 'listKeys',
        tags: ['keys'],
        summary: 'List the keys of the account, newest first',
        description:
          'Without raw keys, revoked ones included. Keys of published apps are not listed. When there are more than ' +
          'fit, a `Link` header with `rel="next"` leads to the next page.',
        querystring: LIST_KEYS_QUERY,
        response: answers(
          {
            200: {
              type: 'array',
              items: { $ref: 'Key#' },
              description: 'The keys.',
              headers: {
                ...ACCOUNT_TAG,
                Link: { type: 'string', description: 'The next page, as `<…>; rel="next"`; absent on the last one.' },
                ETag: {
                  type: 'string',
                  description: 'Send it back in `If-None-Match` to be told when nothing changed.',
                },
              },
            },
            304: {
              type: 'null',
              description: 'Nothing changed since the answer that had this `ETag`.',
              headers: ACCOUNT_TAG,
            },
          },
          { ...READ_PROBLEMS, invalid: 'cursor is not one that this list gave out.' },
        ),
      },
      onSend: async (request, reply, payload) => {
        if (reply.statusCode !== 200 || typeof payload !== 'string') return payload;
        const own = [reply.getHeader('link') ?? '', reply.getHeader(ACCOUNT_TAG_HEADER) ?? ''].map(String);
        const tag = entityTag(payload, ...own);
        reply.header('etag', tag);
        if (!matchesEntityTag(request.headers['if-none-match'], tag)) return payload;
        reply.code(304).removeHeader('content-type').removeHeader('content-length');
        return null;
      },
    },
    async (request, reply) => {
      const { limit = LIST_LIMIT_MAX, cursor, revoked = true } = request.query;
      const after = cursor === undefined ? null : parseKeyCursor(cursor);
      const page = await keys.list({ accountId: request.accountId, includeRevoked: revoked, limit, after });
      reply.header(ACCOUNT_TAG_HEADER, accountTag(request.accountId));
      // Kept, but asked about each time: then the tag can save sending it again.
      reply.header('cache-control', 'private, no-cache');
      if (page.nextAfter !== null) {
        const next = new URLSearchParams({ limit: String(limit), cursor: formatKeyCursor(page.nextAfter) });
        if (!revoked) next.set('revoked', 'false');
        reply.header('link', `</api/keys?${next}>; rel="next"`);
      }
      return page.keys.map(keyView);
    },
  );

  app.delete(
    '/keys/:key_id',
    {
      schema: {
        operationId: 'revokeKey',
        tags: ['keys'],
        summary: 'Revoke a key and wait until it is refused everywhere',
        description:
          'Answers only when no sidecar anywhere accepts the key any more, and says how that was proven. A repeated ' +
          'call waits and answers in the same way.',
        params: KEY_PARAMS,
        response: answers(
          { 200: { $ref: 'RevokedKey#', description: 'Refused everywhere.' } },
          {
            unauthenticated: UNAUTHENTICATED,
            misdirected: READ_PROBLEMS.misdirected,
            'cross-site': CROSS_SITE,
            'not-found': NO_SUCH_KEY,
            'too-large': WRITE_PROBLEMS['too-large'],
            'unsupported-media-type': 'A body is not needed; if there is one, it must be application/json.',
            invalid: 'The body is not JSON.',
            unavailable: UNAVAILABLE,
            unconfirmed: UNCONFIRMED,
          },
        ),
      },
    },
    async (request, reply) => {
      const { receipt } = await keys.revoke(request.params.key_id, request.accountId, actorOf(request));
      return reply.code(200).send({ success: true, receipt: receiptView(receipt) });
    },
  );

  app.post(
    '/keys/:key_id/rotate',
    {
      preValidation: async (request) => {
        // The body may be left out, and the schema validates an object.
        if (request.body === undefined) request.body = {};
      },
      preHandler: spendCreation,
      schema: {
        operationId: 'rotateKey',
        [OPTIONAL_BODY]: true,
        tags: ['keys'],
        summary: 'Replace a key by a new one of the same name, scope, permissions and expiry',
        description:
          'The old key lives on for `overlap_seconds`, but never longer than it would have. With 0, the default, it is ' +
          'refused everywhere before the answer is sent.',
        params: KEY_PARAMS,
        body: ROTATE_KEY_BODY,
        response: answers(
          { 201: { $ref: 'RotatedKey#', description: 'The replacement, with its raw key.' } },
          {
            ...CREATION_PROBLEMS,
            invalid: 'overlap_seconds must be <= 604800.',
            'not-found': NO_SUCH_KEY,
            conflict: 'The key is revoked or expired already.',
            unconfirmed: ROTATION_UNCONFIRMED,
          },
        ),
      },
    },
    async (request, reply) => {
      const overlapMs = (request.body.overlap_seconds ?? 0) * 1000;
      const { key, rawKey, receipt } = await keys
        .rotate(request.params.key_id, request.accountId, overlapMs, actorOf(request))
        .catch(explainUnconfirmedRotation);
      return reply
        .code(201)
        .send({ ...keyView(key), raw_key: rawKey, receipt: receipt === null ? null : receiptView(receipt) });
    },
  );
};

const ROTATION_UNCONFIRMED =
  'The rotation is committed, but it could not be proven yet that every sidecar knows of it, so the new key is not ' +
  'shown. Revoke both keys with DELETE, which confirms it, and create another.';

function explainUnconfirmedRotation(error: unknown): never {
  if (error instanceof Failure && error.kind === 'unconfirmed') {
    throw new HttpProblem('unconfirmed', ROTATION_UNCONFIRMED, { cause: error });
  }
  throw error;
}

function actorOf(request: FastifyRequest): Actor {
  return { name: `account:${request.accountId}`, origin: request.ip ?? null };
}

// UTF-8 has no such thing: it would reach the database as another id.
const HALF_PAIR = /\p{Cs}/u;

/** Reads what the schema has let through, and checks the rules that it cannot express. */
function keyChoices(
  body: {
    readonly name: string;
    readonly workflow_id?: string | null;
    readonly permissions?: readonly string[] | null;
    readonly expires_at?: string | null;
  },
  nowMs: number,
): KeyChoices {
  const errors: FieldError[] = [];
  const name = parseKeyName(body.name);
  if ('problem' in name) errors.push({ field: 'name', pointer: '/name', message: name.problem });
  const expiresAtMs = typeof body.expires_at === 'string' ? parseDateTime(body.expires_at) : null;
  if (typeof body.expires_at === 'string' && (expiresAtMs === null || expiresAtMs <= nowMs)) {
    // The schema has seen to the form.
    const message = expiresAtMs === null ? 'must be before the year 10000' : 'must be in the future';
    errors.push({ field: 'expires_at', pointer: '/expires_at', message });
  }
  if (body.workflow_id && HALF_PAIR.test(body.workflow_id)) {
    errors.push({ field: 'workflow_id', pointer: '/workflow_id', message: 'must not hold half a surrogate pair' });
  }
  if ('problem' in name || errors.length > 0) throw invalid(errors);
  return {
    name: name.name,
    workflowId: body.workflow_id ?? null,
    permissions: body.permissions ? permissionSet(body.permissions) : ALL_PERMISSIONS,
    expiresAtMs,
  };
}
