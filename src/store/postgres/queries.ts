import type { Statement } from './run-query.js';

// Every statement of the adapters. Columns are listed, never `*`. Times leave the database as numbers: ms (or µs where
// a cursor needs the database's own precision) since the Unix epoch, in which 'infinity' is a number like any other.

/** Event columns, in every reading of the history. */
const EVENT_COLUMNS = `e.sequence AS event_sequence, e.token AS event_token, e.kind, e.key_hash, e.key_id, e.workflow_id,
  e.account_id, e.app_id, (extract(epoch FROM e.at) * 1000)::float8 AS at_ms`;

/** Columns of a key as its owner sees it; `k` is the key, `u` its usage. */
const DETAIL_COLUMNS = `k.id, k.account_id, k.name, k.key_prefix, k.workflow_id, k.permissions::text AS permissions, k.app_id,
  (extract(epoch FROM k.created_at) * 1000)::float8 AS created_at_ms,
  (extract(epoch FROM k.created_at) * 1000000)::bigint::text AS created_at_us,
  (extract(epoch FROM u.last_used_at) * 1000)::float8 AS last_used_at_ms,
  (extract(epoch FROM k.expires_at) * 1000)::float8 AS expires_at_ms,
  (extract(epoch FROM k.revoked_at) * 1000)::float8 AS revoked_at_ms`;

/** What {@link DETAIL_COLUMNS} needs of a key that was just written. */
const WRITTEN_COLUMNS = `id, account_id, name, key_prefix, workflow_id, permissions, app_id, created_at, expires_at, revoked_at`;

// ---------------------------------------------------------------- decisions

/**
 * Keys by hash; `matching` says which.
 *
 * On a standby an extra row with a NULL hash comes first: a standby's answer may be older than the question, and "no
 * row" from it must not be taken for "no such key".
 */
function findKeys(matching: string): string {
  return `
    SELECT NULL::bytea AS key_hash, NULL::uuid AS id, NULL::text AS account_id, NULL::text AS workflow_id,
           NULL::text AS permissions, NULL::text AS app_id, NULL::float8 AS expires_at_ms, NULL::boolean AS revoked
      WHERE pg_is_in_recovery()
    UNION ALL
    SELECT k.key_hash, k.id, k.account_id, k.workflow_id, k.permissions::text, k.app_id,
           (extract(epoch FROM k.expires_at) * 1000)::float8, k.revoked_at IS NOT NULL
      FROM latchkey.api_keys AS k WHERE k.key_hash ${matching}`;
}

/** Owners of workflows by id; `matching` says which. An extra row with a NULL id on a standby, as above. */
function findWorkflowOwners(matching: string): string {
  return `
    SELECT NULL::text AS id, NULL::text AS account_id WHERE pg_is_in_recovery()
    UNION ALL
    SELECT w.id::text, w.account_id::text FROM latchkey.workflows AS w WHERE w.id ${matching}`;
}

/** $1: bytea[]. */
export const FIND_KEYS: Statement = {
  operation: 'find_keys',
  prepared: true,
  unmeasured: true,
  text: findKeys('= ANY ($1::bytea[])'),
};

/**
 * $1: bytea. A statement of its own for one key, the usual miss: PostgreSQL keeps its plan, where it plans a look-up by
 * an array anew each time, because it cannot know how long the next one is. Half of the time of the look-up.
 */
export const FIND_KEY: Statement = {
  operation: 'find_key',
  prepared: true,
  unmeasured: true,
  text: findKeys('= $1::bytea'),
};

/** $1: text[]. */
export const FIND_WORKFLOW_OWNERS: Statement = {
  operation: 'find_workflow_owners',
  prepared: true,
  unmeasured: true,
  text: findWorkflowOwners('= ANY ($1::text[])'),
};

/** $1: text. As {@link FIND_KEY}. */
export const FIND_WORKFLOW_OWNER: Statement = {
  operation: 'find_workflow_owner',
  prepared: true,
  unmeasured: true,
  text: findWorkflowOwners('= $1::text'),
};

/** Whether changes of workflows reach the history: by the triggers of the shipped table, all in force. */
export const WORKFLOWS_RAISE_EVENTS: Statement = {
  operation: 'workflows_raise_events',
  text: `
    SELECT count(*) = 4 AS raise_events FROM pg_trigger AS t
      WHERE t.tgrelid = to_regclass('latchkey.workflows') AND t.tgenabled IN ('A', 'O')
        AND t.tgname IN ('workflow_created', 'workflow_changed', 'workflow_deleted', 'workflows_truncated')`,
};

/** The account of a session that has not expired. $1: bytea, SHA-256 of the token. */
export const FIND_SESSION: Statement = {
  operation: 'find_session',
  text: `
    SELECT s.account_id::text AS account_id FROM latchkey.sessions AS s
      WHERE s.token_hash = $1::bytea AND s.expires_at > clock_timestamp() LIMIT 1`,
};

// ---------------------------------------------------------------- history

/** Whether this history has the event ($sequence, $token): the head counts even when its event was pruned. */
function exists(sequence: string, token: string): string {
  return `(EXISTS (SELECT FROM latchkey.head AS h WHERE h.sequence = ${sequence} AND h.token = ${token})
    OR EXISTS (SELECT FROM latchkey.events AS e WHERE e.sequence = ${sequence} AND e.token = ${token}))`;
}

/** A new sidecar. $1: id, $2: attempt, $3: lease ms, $4 and $5: position or NULL. */
export const REGISTER_SIDECAR: Statement = {
  operation: 'register_sidecar',
  durable: true,
  text: `
    INSERT INTO latchkey.sidecars AS s (id, renewals, lease_ms, applied_sequence, applied_token)
      SELECT $1::uuid, $2::bigint, $3::bigint, CASE WHEN known THEN $4::bigint END, CASE WHEN known THEN $5::uuid END
        FROM (SELECT ${exists('$4::bigint', '$5::uuid')} AS known) AS p
      RETURNING latchkey.require_durable_commit()`,
};

/**
 * Step 1 of a renewal. Parameters as above. No row: gone, or a later attempt was seen.
 *
 * One statement and one round trip: what RETURNING sets for the commit holds for this very transaction. A standby
 * refuses any UPDATE by itself.
 */
export const RENEW_SIDECAR: Statement = {
  operation: 'renew_sidecar',
  prepared: true,
  durable: true,
  text: `
    UPDATE latchkey.sidecars AS s
      SET renewals = $2::bigint, lease_ms = $3::bigint, renewed_at = clock_timestamp(),
          applied_sequence = CASE WHEN p.known AND coalesce(s.applied_sequence, -1) < $4 THEN $4 ELSE s.applied_sequence END,
          applied_token = CASE WHEN p.known AND coalesce(s.applied_sequence, -1) < $4 THEN $5 ELSE s.applied_token END
      FROM (SELECT ${exists('$4::bigint', '$5::uuid')} AS known) AS p
      WHERE s.id = $1::uuid AND s.renewals < $2::bigint
      RETURNING latchkey.require_durable_commit()`,
};

/**
 * Step 2: the head and everything after a position, as one snapshot. $1: sequence or NULL, $2: limit.
 *
 * Numbers have no gaps, so that the limit is a subtraction. One row at least; `sequence` is NULL when there is no head.
 */
export const READ_HISTORY: Statement = {
  operation: 'read_history',
  prepared: true,
  text: `
    SELECT pg_is_in_recovery() AS standby, h.sequence, h.token,
           CASE WHEN h.sequence = $1::bigint THEN h.token
                ELSE (SELECT p.token FROM latchkey.events AS p WHERE p.sequence = $1::bigint) END AS token_at_position,
           coalesce(h.sequence - $1::bigint > $2::bigint, false) AS over_limit,
           one.lineage,
           (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now_ms,
           ${EVENT_COLUMNS}
      FROM (SELECT latchkey.lineage() AS lineage OFFSET 0) AS one
      LEFT JOIN latchkey.head AS h ON true
      LEFT JOIN latchkey.events AS e
        ON e.sequence > $1::bigint AND e.sequence <= h.sequence AND h.sequence - $1::bigint <= $2::bigint
      ORDER BY e.sequence`,
};

/**
 * What a sidecar has applied. $1: id, $2 and $3: position. No row: no such event, or the sidecar's row is gone.
 *
 * Need not survive a crash: an acknowledgement that is lost makes revokers wait longer, never shorter. It is therefore
 * visible before it is on the disk.
 */
export const ACKNOWLEDGE: Statement = {
  operation: 'acknowledge',
  prepared: true,
  text: `
    UPDATE latchkey.sidecars AS s
      SET applied_sequence = CASE WHEN coalesce(s.applied_sequence, -1) < $2::bigint THEN $2 ELSE s.applied_sequence END,
          applied_token = CASE WHEN coalesce(s.applied_sequence, -1) < $2::bigint THEN $3 ELSE s.applied_token END
      WHERE s.id = $1::uuid AND ${exists('$2::bigint', '$3::uuid')}
      RETURNING set_config('synchronous_commit', 'off', true)`,
};

/** Deletes the row of a sidecar that gave up its lease. $1: id. */
export const DEREGISTER_SIDECAR: Statement = {
  operation: 'deregister_sidecar',
  text: 'DELETE FROM latchkey.sidecars AS s WHERE s.id = $1::uuid',
};

/**
 * The head and all sidecars, as one snapshot. A position of another history counts as nothing applied: the row may
 * stem from a backup whose numbers run ahead of this history's.
 */
export const READ_BARRIER: Statement = {
  operation: 'read_barrier',
  prepared: true,
  text: `
    SELECT pg_is_in_recovery() AS standby, h.sequence, h.token, s.id, s.renewals, s.lease_ms,
           CASE WHEN s.applied_sequence IS NOT NULL AND (
                  (s.applied_sequence = h.sequence AND s.applied_token = h.token)
                  OR EXISTS (SELECT FROM latchkey.events AS e
                               WHERE e.sequence = s.applied_sequence AND e.token = s.applied_token))
                THEN s.applied_sequence ELSE -1 END AS applied_sequence
      FROM (SELECT) AS one
      LEFT JOIN latchkey.head AS h ON true
      LEFT JOIN latchkey.sidecars AS s ON true`,
};

/** Forgets sidecars that have not moved. $1: uuid[], $2: bigint[]. Locked in order of id, so that two never deadlock. */
export const FORGET_SIDECARS: Statement = {
  operation: 'forget_sidecars',
  text: `
    DELETE FROM latchkey.sidecars AS s WHERE s.id IN (
      SELECT o.id FROM latchkey.sidecars AS o
        JOIN unnest($1::uuid[], $2::bigint[]) AS f (id, renewals) ON o.id = f.id AND o.renewals = f.renewals
        ORDER BY o.id FOR UPDATE OF o)`,
};

/** Makes a head where somebody deleted it. */
export const RESTORE_HEAD: Statement = {
  operation: 'restore_head',
  durable: true,
  text: 'SELECT latchkey.restore_head()',
};

/** Events after a sequence for watchers. $1: sequence, $2: limit. One row at least. */
export const READ_REVOCATIONS: Statement = {
  operation: 'read_revocations',
  prepared: true,
  text: `
    SELECT pg_is_in_recovery() AS standby, h.sequence, h.token,
           coalesce((SELECT min(o.sequence) FROM latchkey.events AS o), h.sequence + 1) AS oldest_sequence,
           ${EVENT_COLUMNS}
      FROM (SELECT) AS one
      LEFT JOIN latchkey.head AS h ON true
      LEFT JOIN LATERAL (
        SELECT n.sequence, n.token, n.kind, n.key_hash, n.key_id, n.workflow_id, n.account_id, n.app_id, n.at
          FROM latchkey.events AS n WHERE n.sequence > $1::bigint AND n.sequence <= h.sequence
          ORDER BY n.sequence LIMIT $2::bigint) AS e ON true
      ORDER BY e.sequence`,
};

/** Deletes old events. $1: how long they are kept, ms (never less than a day); $2: most to delete at once. */
export const PRUNE_EVENTS: Statement = {
  operation: 'prune_events',
  deadlineMs: 30_000,
  text: `SELECT latchkey.prune_events($1::float8 * interval '1 millisecond', $2::bigint) AS deleted`,
};

// ---------------------------------------------------------------- last used

/**
 * Writes the latest uses. $1: uuid[], $2: float8[] ms, no id twice. Sorted, so that two writers never deadlock; only for
 * keys that exist and are not revoked; never backwards. May be lost in a crash.
 */
export const WRITE_USAGE: Statement = {
  operation: 'write_usage',
  prepared: true,
  deadlineMs: 10_000,
  text: `
    INSERT INTO latchkey.key_usage AS u (key_id, last_used_at)
      SELECT k.id, to_timestamp(x.at_ms / 1000)
        FROM unnest($1::uuid[], $2::float8[]) AS x (id, at_ms)
        JOIN latchkey.api_keys AS k ON k.id = x.id AND k.revoked_at IS NULL
        ORDER BY k.id
      ON CONFLICT (key_id) DO UPDATE SET last_used_at = excluded.last_used_at
        WHERE u.last_used_at < excluded.last_used_at
      RETURNING set_config('synchronous_commit', 'off', true)`,
};

// ---------------------------------------------------------------- key management

/**
 * Serialises the changes that count against a limit of one account, or concern one app. $1: what is locked.
 * Ends with the transaction, hence works behind a transaction pooler.
 */
export const LOCK_SUBJECT: Statement = {
  operation: 'lock_subject',
  text: 'SELECT pg_advisory_xact_lock(hashtextextended($1::text, 5871))',
};

/** Whether the workflow is the account's. $1: workflow, $2: account. */
export const OWNS_WORKFLOW: Statement = {
  operation: 'owns_workflow',
  text: `SELECT FROM latchkey.workflows AS w WHERE w.id = $1::text AND w.account_id = $2::text LIMIT 1`,
};

/** How many active user keys an account has. $1: account, $2: a key that is not counted, or NULL. */
export const COUNT_ACTIVE_KEYS: Statement = {
  operation: 'count_active_keys',
  text: `
    SELECT count(*)::int AS active FROM latchkey.api_keys AS k
      WHERE k.account_id = $1::text AND k.app_id IS NULL AND k.revoked_at IS NULL
        AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp()) AND k.id IS DISTINCT FROM $2::uuid`,
};

/** Stores a key. $1 account, $2 name, $3 hash, $4 prefix, $5 workflow, $6 permissions, $7 app, $8 expiry ms. */
export const INSERT_KEY: Statement = {
  operation: 'insert_key',
  text: `
    WITH k AS (
      INSERT INTO latchkey.api_keys (account_id, name, key_hash, key_prefix, workflow_id, permissions, app_id, expires_at)
        VALUES ($1::text, $2::text, $3::bytea, $4::text, $5::text, $6::text[], $7::text,
                to_timestamp($8::float8 / 1000))
        RETURNING ${WRITTEN_COLUMNS})
    SELECT ${DETAIL_COLUMNS} FROM k LEFT JOIN latchkey.key_usage AS u ON u.key_id = k.id`,
};

/** The key $1, if it is of account $2, whose app keys do not exist there; $2 NULL: of any. `alias` names the table. */
function keyOfAccount(alias: string): string {
  return `${alias}.id = $1::uuid AND ($2::text IS NULL OR (${alias}.account_id = $2::text AND ${alias}.app_id IS NULL))`;
}

/**
 * One key, locked against other changes until the end of the transaction. $1: id, $2: account, or NULL for an operator:
 * any key. With an account app keys do not exist. `expired` by the database's clock.
 */
export const LOCK_KEY: Statement = {
  operation: 'lock_key',
  text: `
    SELECT ${DETAIL_COLUMNS}, coalesce(k.expires_at <= clock_timestamp(), false) AS expired
      FROM latchkey.api_keys AS k LEFT JOIN latchkey.key_usage AS u ON u.key_id = k.id
      WHERE ${keyOfAccount('k')}
      FOR NO KEY UPDATE OF k`,
};

/**
 * Revokes one key and notes it in the audit trail, in one round trip. $1: id, $2: account, as for {@link LOCK_KEY},
 * $3: by whom, $4: from where. No row: no such key. `revoked_now` is false when it was revoked before.
 *
 * The lock comes first: of two that revoke at once the second waits for the first, and finds its revocation. It is
 * written to the log, so that the commit that ends it covers the revocation that it has seen.
 */
export const REVOKE_KEY: Statement = {
  operation: 'revoke_key',
  text: `
    WITH found AS MATERIALIZED (
      SELECT o.* FROM latchkey.api_keys AS o
        WHERE ${keyOfAccount('o')}
        FOR NO KEY UPDATE),
    revoked AS (
      UPDATE latchkey.api_keys AS t SET revoked_at = clock_timestamp(), revoked_by = $3::text
        FROM found AS f WHERE t.id = f.id AND t.revoked_at IS NULL
        RETURNING t.*),
    noted AS (
      INSERT INTO latchkey.key_audit (action, key_id, account_id, actor, origin, details)
        SELECT 'revoked', r.id, r.account_id, $3::text, $4::text, '{}' FROM revoked AS r),
    k AS (
      SELECT r.*, true AS revoked_now FROM revoked AS r
      UNION ALL
      SELECT f.*, false FROM found AS f WHERE NOT EXISTS (SELECT FROM revoked))
    SELECT ${DETAIL_COLUMNS}, k.revoked_now FROM k LEFT JOIN latchkey.key_usage AS u ON u.key_id = k.id`,
};

/** Revokes keys that are not. $1: uuid[], $2: by whom. */
export const REVOKE_KEYS: Statement = {
  operation: 'revoke_keys',
  text: `
    WITH k AS (
      UPDATE latchkey.api_keys SET revoked_at = clock_timestamp(), revoked_by = $2::text
        WHERE id = ANY ($1::uuid[]) AND revoked_at IS NULL
        RETURNING ${WRITTEN_COLUMNS})
    SELECT ${DETAIL_COLUMNS} FROM k LEFT JOIN latchkey.key_usage AS u ON u.key_id = k.id`,
};

/** Brings the expiry of keys forward to $2 ms from now; those that expire earlier, or are revoked, stay. $1: uuid[]. */
export const SHORTEN_EXPIRY: Statement = {
  operation: 'shorten_expiry',
  text: `
    WITH k AS (
      UPDATE latchkey.api_keys SET expires_at = clock_timestamp() + $2::float8 * interval '1 millisecond'
        WHERE id = ANY ($1::uuid[]) AND revoked_at IS NULL
          AND coalesce(expires_at, 'infinity') > clock_timestamp() + $2::float8 * interval '1 millisecond'
        RETURNING ${WRITTEN_COLUMNS})
    SELECT ${DETAIL_COLUMNS} FROM k LEFT JOIN latchkey.key_usage AS u ON u.key_id = k.id`,
};

/** The keys of an app that are not revoked, locked in order of id. $1: app. */
export const LOCK_APP_KEYS: Statement = {
  operation: 'lock_app_keys',
  text: `
    SELECT k.id, coalesce(k.expires_at <= clock_timestamp(), false) AS expired FROM latchkey.api_keys AS k
      WHERE k.app_id = $1::text AND k.revoked_at IS NULL ORDER BY k.id FOR NO KEY UPDATE OF k`,
};

/** Writes audit rows. $1 action, $2 uuid[] keys, $3 text[] accounts, $4 actor, $5 origin, $6 details (JSON). */
export const INSERT_AUDIT: Statement = {
  operation: 'insert_audit',
  text: `
    INSERT INTO latchkey.key_audit (action, key_id, account_id, actor, origin, details)
      SELECT $1::text, k.id, k.account_id, $4::text, $5::text, $6::jsonb
        FROM unnest($2::uuid[], $3::text[]) AS k (id, account_id)`,
};

/**
 * The database's clock, with a lock on the head: makes even a transaction without changes write to the log, so that its
 * confirmed commit covers what it has seen. Last statement of a transaction.
 */
export const SEAL: Statement = {
  operation: 'seal',
  text: `
    SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now_ms
      FROM (SELECT FROM latchkey.head FOR NO KEY UPDATE) AS h RIGHT JOIN (SELECT) AS one ON true`,
};

/**
 * One page of an account's user keys, newest first. $1 account, $2 whether revoked ones count, $3 limit,
 * $4 and $5 the key to continue after (µs, id) or NULL.
 */
export const LIST_KEYS: Statement = {
  operation: 'list_keys',
  text: `
    SELECT ${DETAIL_COLUMNS}
      FROM latchkey.api_keys AS k LEFT JOIN latchkey.key_usage AS u ON u.key_id = k.id
      WHERE k.account_id = $1::text AND k.app_id IS NULL AND ($2::boolean OR k.revoked_at IS NULL)
        AND ($4::bigint IS NULL
             OR (k.created_at, k.id) < (timestamptz 'epoch' + $4::bigint * interval '1 microsecond', $5::uuid))
      ORDER BY k.created_at DESC, k.id DESC LIMIT $3::int`,
};

/** Whose key it is, and which app's, without a lock. $1: id. */
export const FIND_KEY_SUBJECT: Statement = {
  operation: 'find_key_subject',
  text: 'SELECT k.account_id, k.app_id FROM latchkey.api_keys AS k WHERE k.id = $1::uuid',
};

/** The expiry that a key had before it was first rotated with an overlap, ms; no row: it was not. $1: id. */
export const FIRST_ROTATION: Statement = {
  operation: 'first_rotation',
  text: `
    SELECT (a.details ->> 'expiresAtMs')::float8 AS expires_at_ms FROM latchkey.key_audit AS a
      WHERE a.key_id = $1::uuid AND a.action = 'rotated' AND a.details ? 'expiresAtMs' ORDER BY a.id LIMIT 1`,
};

/** Whether an app has or had a key, whatever became of it. $1: app. */
export const HAS_APP_KEYS: Statement = {
  operation: 'has_app_keys',
  text: 'SELECT EXISTS (SELECT FROM latchkey.api_keys AS k WHERE k.app_id = $1::text) AS any',
};

/** The audit trail of a key, oldest first. $1: id. */
export const READ_AUDIT: Statement = {
  operation: 'read_audit',
  text: `
    SELECT (extract(epoch FROM a.at) * 1000)::float8 AS at_ms, a.action, a.key_id, a.account_id, a.actor, a.origin, a.details
      FROM latchkey.key_audit AS a WHERE a.key_id = $1::uuid ORDER BY a.id`,
};

/** The workflows of an account by name. $1: account. */
export const LIST_WORKFLOWS: Statement = {
  operation: 'list_workflows',
  text: `
    SELECT w.id::text AS id, w.name::text AS name FROM latchkey.workflows AS w
      WHERE w.account_id = $1::text ORDER BY w.name, w.id`,
};
