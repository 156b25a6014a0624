import { Type } from 'typebox';
import { OVERLAP_SECONDS_MAX } from '../../domain/overlap.js';
import { PERMISSION_NAMES, type PermissionName } from '../../domain/permissions.js';
import { CURSOR_PATTERN } from './key-cursor.js';

/** The schemas that validate requests, shape answers and make up the OpenAPI document: one source for all three. */

const EXAMPLE_KEY = {
  id: '3f0c2f1e-5d8a-4a53-9d43-0d4a6a0c7a11',
  name: 'My Dashboard App',
  key_prefix: 'nk_live_4be1',
  workflow_id: null,
  permissions: ['read', 'execute'],
  created_at: '2026-03-01T09:30:00.000Z',
  last_used_at: null,
  expires_at: '2027-03-01T00:00:00.000Z',
  revoked_at: null,
};

const EXAMPLE_RAW_KEY = `nk_live_4be1${'0'.repeat(60)}`;

const EXAMPLE_RECEIPT = {
  sequence: 4711,
  committed_at: '2026-03-01T09:31:00.000Z',
  confirmed_in_ms: 4.2,
  sidecars: { acknowledged: 8, expired: 0 },
  slowest_ack_ms: 3.9,
};

/** Most keys in one answer of the list, and how many there are when `limit` is not given. */
export const LIST_LIMIT_MAX = 1000;

// The rules of `parseKeyName` as a regular expression without property escapes and surrogates, which the validators of
// other languages lack. Half a surrogate pair, which JSON can smuggle in as `\ud83d`, and a raw key are left to it.
const NAME_FORBIDDEN =
  '\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufeff';
const NAME_SPACE = ' \\u00a0\\u1680\\u2000-\\u200a\\u202f\\u205f\\u3000';
const NAME_INK = `[^${NAME_FORBIDDEN}${NAME_SPACE}]`;

/** What a key's name looks like; says what `parseKeyName` does of well-formed text that holds no raw key. */
export const KEY_NAME_PATTERN = `^[${NAME_SPACE}]*${NAME_INK}([^${NAME_FORBIDDEN}]{0,98}${NAME_INK})?[${NAME_SPACE}]*$`;

const PERMISSION = Type.Unsafe<PermissionName>({ type: 'string', enum: [...PERMISSION_NAMES] });

/** Body of `POST /api/keys`. `null` counts as absent: forms send it for what was left empty. */
export const CREATE_KEY_BODY = Type.Object(
  {
    name: Type.String({
      pattern: KEY_NAME_PATTERN,
      description: '1 to 100 characters after trimming, no control characters, no API key.',
    }),
    workflow_id: Type.Optional(
      Type.Unsafe<string | null>({
        type: ['string', 'null'],
        minLength: 1,
        maxLength: 1024,
        pattern: '^[^\\u0000-\\u001f\\u007f]*$',
        description: 'The one workflow that the key may act on. Absent or null: all workflows of the account.',
      }),
    ),
    permissions: Type.Optional(
      Type.Unsafe<PermissionName[] | null>({
        type: ['array', 'null'],
        items: PERMISSION,
        minItems: 1,
        uniqueItems: true,
        description: 'What the key may do, in any order. Absent or null: everything.',
      }),
    ),
    expires_at: Type.Optional(
      Type.Unsafe<string | null>({
        type: ['string', 'null'],
        format: 'date-time',
        description: 'When the key stops working: RFC 3339, in the future. Absent or null: never.',
      }),
    ),
  },
  {
    additionalProperties: false,
    examples: [{ name: 'My Dashboard App', permissions: ['read', 'execute'], expires_at: '2999-01-01T00:00:00Z' }],
  },
);

/** Body of `POST /api/keys/{key_id}/rotate`; may be left out. */
export const ROTATE_KEY_BODY = Type.Object(
  {
    overlap_seconds: Type.Optional(
      Type.Unsafe<number | null>({
        type: ['integer', 'null'],
        minimum: 0,
        maximum: OVERLAP_SECONDS_MAX,
        description:
          'How long the old key lives on. Absent, null or 0: it is refused everywhere before you get the answer.',
      }),
    ),
  },
  { additionalProperties: false, examples: [{ overlap_seconds: 3600 }] },
);

/** Path of the calls on one key. */
export const KEY_PARAMS = Type.Object({
  key_id: Type.String({ format: 'uuid', description: 'The `id` of the key.' }),
});

/** Query of `GET /api/keys`. */
export const LIST_KEYS_QUERY = Type.Object(
  {
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: LIST_LIMIT_MAX,
        description: `Most keys in the answer; ${LIST_LIMIT_MAX} when absent.`,
      }),
    ),
    cursor: Type.Optional(
      Type.String({
        pattern: CURSOR_PATTERN,
        description: 'Where to continue. Take it, opaque, from the `Link` header of the page before.',
      }),
    ),
    revoked: Type.Optional(
      Type.Boolean({ description: '`false` leaves revoked keys out; they are included otherwise.' }),
    ),
  },
  { additionalProperties: false },
);

const nullableDateTime = (description: string) =>
  Type.Unsafe<string | null>({ type: ['string', 'null'], format: 'date-time', description });

const KEY_FIELDS = {
  id: Type.String({ format: 'uuid' }),
  name: Type.String(),
  key_prefix: Type.String({ description: 'The first 12 characters of the key, to tell keys apart.' }),
  workflow_id: Type.Unsafe<string | null>({
    type: ['string', 'null'],
    description: 'The one workflow that the key may act on; null: all of the account.',
  }),
  permissions: Type.Array(PERMISSION, { description: 'In the order read, execute, write.' }),
  created_at: Type.String({ format: 'date-time' }),
  last_used_at: nullableDateTime('Null: never used. A few seconds behind.'),
  expires_at: nullableDateTime('Null: never.'),
  revoked_at: nullableDateTime('Null: not revoked.'),
};

/** One key in the list. */
export const KEY = Type.Object(KEY_FIELDS, { $id: 'Key', additionalProperties: false, examples: [EXAMPLE_KEY] });

const RAW_KEY_FIELD = Type.String({
  pattern: '^nk_live_[0-9a-f]{64}$',
  description: 'The key itself. This answer is the only one that ever holds it.',
});

/** A new key, the only answer that holds a raw key. */
export const CREATED_KEY = Type.Object(
  { ...KEY_FIELDS, raw_key: RAW_KEY_FIELD },
  { $id: 'CreatedKey', additionalProperties: false, examples: [{ ...EXAMPLE_KEY, raw_key: EXAMPLE_RAW_KEY }] },
);

const RECEIPT_FIELDS = {
  sequence: Type.Integer({
    minimum: 0,
    description: 'Every sidecar has applied all changes up to this one, or can no longer answer from memory.',
  }),
  committed_at: Type.String({ format: 'date-time', description: "By the database's clock." }),
  confirmed_in_ms: Type.Number({ minimum: 0, description: 'From the commit to the proof.' }),
  sidecars: Type.Object(
    {
      acknowledged: Type.Integer({ minimum: 0, description: 'Sidecars that said they had applied it.' }),
      expired: Type.Integer({ minimum: 0, description: 'Sidecars whose lease was waited out.' }),
    },
    { additionalProperties: false },
  ),
  slowest_ack_ms: Type.Unsafe<number | null>({
    type: ['number', 'null'],
    description: 'From the commit to the last acknowledgement; null when there was none.',
  }),
};

/** What was proven about a revocation. */
export const RECEIPT = Type.Object(RECEIPT_FIELDS, {
  $id: 'Receipt',
  additionalProperties: false,
  description: 'Proof that a revocation is enforced everywhere.',
  examples: [EXAMPLE_RECEIPT],
});

/** Answer of `DELETE /api/keys/{key_id}`. */
export const REVOKED_KEY = Type.Object(
  { success: Type.Unsafe<true>({ type: 'boolean', const: true }), receipt: Type.Ref('Receipt') },
  { $id: 'RevokedKey', additionalProperties: false, examples: [{ success: true, receipt: EXAMPLE_RECEIPT }] },
);

/** Answer of a rotation: the replacement, and the proof about the old key when it died at once. */
export const ROTATED_KEY = Type.Object(
  {
    ...KEY_FIELDS,
    raw_key: RAW_KEY_FIELD,
    receipt: Type.Unsafe<unknown>({
      description: 'The proof about the old key; null when it lives on for an overlap.',
      anyOf: [{ $ref: 'Receipt' }, { type: 'null' }],
    }),
  },
  {
    $id: 'RotatedKey',
    additionalProperties: false,
    examples: [{ ...EXAMPLE_KEY, raw_key: EXAMPLE_RAW_KEY, receipt: EXAMPLE_RECEIPT }],
  },
);

/** One workflow of the account. */
export const WORKFLOW = Type.Object(
  { id: Type.String(), name: Type.String() },
  {
    $id: 'Workflow',
    additionalProperties: false,
    examples: [{ id: '00000000-0000-4000-8000-000000000001', name: 'Nightly report' }],
  },
);

/** RFC 9457. */
export const PROBLEM = Type.Object(
  {
    type: Type.String({ format: 'uri', description: 'The kind of problem; stable, meant for programs.' }),
    title: Type.String({ description: 'The same for every problem of this type.' }),
    status: Type.Integer({ description: 'The HTTP status again.' }),
    detail: Type.String({ description: 'What happened this time, for people.' }),
    instance: Type.String({ format: 'uri', description: 'This one occurrence, as the log names it.' }),
    errors: Type.Optional(
      Type.Array(
        Type.Object(
          {
            field: Type.String({ description: "The field's name; empty: the body as a whole." }),
            pointer: Type.String({ description: 'JSON Pointer into the body or the query.' }),
            message: Type.String({ description: "What is wrong, to be read after the field's name." }),
          },
          { additionalProperties: false },
        ),
      ),
    ),
  },
  { $id: 'Problem', additionalProperties: false, description: 'An error, as RFC 9457 has it.' },
);

/** Schemas that the document names under `components`. */
export const SHARED_SCHEMAS = [KEY, CREATED_KEY, RECEIPT, REVOKED_KEY, ROTATED_KEY, WORKFLOW, PROBLEM] as const;
