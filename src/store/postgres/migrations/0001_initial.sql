-- The whole of schema `latchkey`: what is asked, what is changed, and the history that tells every sidecar of it.
-- Ids are compared byte by byte, whatever the locale of the database: hence COLLATE "C".

CREATE SCHEMA IF NOT EXISTS latchkey;

-- ---------------------------------------------------------------- what is asked

-- One row a key. Only its SHA-256 is kept, and the first characters for people to recognise it by.
CREATE TABLE latchkey.api_keys (
  id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  account_id  text COLLATE "C" NOT NULL CHECK (octet_length(account_id) BETWEEN 1 AND 1024),
  -- A raw key pasted as a name must not reach the disk.
  name        text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100 AND name !~ 'nk_live_[0-9a-f]{64}'),
  key_hash    bytea NOT NULL UNIQUE CHECK (octet_length(key_hash) = 32),
  -- The bound keeps a whole raw key out of the column.
  key_prefix  text COLLATE "C" NOT NULL CHECK (char_length(key_prefix) BETWEEN 1 AND 12),
  workflow_id text COLLATE "C" CHECK (octet_length(workflow_id) BETWEEN 1 AND 1024),
  -- A non-empty set, in the order in which it is shown.
  permissions text[] COLLATE "C" NOT NULL CHECK (permissions IN (
    ARRAY['read'], ARRAY['execute'], ARRAY['write'],
    ARRAY['read', 'execute'], ARRAY['read', 'write'], ARRAY['execute', 'write'],
    ARRAY['read', 'execute', 'write']
  )),
  app_id      text COLLATE "C" CHECK (octet_length(app_id) BETWEEN 1 AND 1024),
  created_at  timestamptz NOT NULL DEFAULT clock_timestamp() CHECK (isfinite(created_at)),
  -- NULL or 'infinity': never.
  expires_at  timestamptz CHECK (expires_at > '-infinity'),
  -- Set, whatever to: revoked. A revoked key stays revoked.
  revoked_at  timestamptz CHECK (isfinite(revoked_at)),
  revoked_by  text
);

-- The list of an account, newest first, one page at a time; apps' keys are never listed.
CREATE INDEX api_keys_of_account ON latchkey.api_keys (account_id, created_at DESC, id DESC) WHERE app_id IS NULL;
-- The keys of one app, when it is published again or taken down.
CREATE INDEX api_keys_of_app ON latchkey.api_keys (app_id) WHERE app_id IS NOT NULL;

-- "Last used", apart: written often, and never through the triggers of api_keys. No foreign key, because checking one
-- locks rows of api_keys. The spare room lets every update stay on its page.
CREATE TABLE latchkey.key_usage (
  key_id       uuid PRIMARY KEY,
  last_used_at timestamptz NOT NULL CHECK (isfinite(last_used_at))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- The platform's: replaceable by a view over its own table.
CREATE TABLE latchkey.workflows (
  id         text COLLATE "C" PRIMARY KEY CHECK (octet_length(id) BETWEEN 1 AND 1024),
  account_id text COLLATE "C" NOT NULL CHECK (octet_length(account_id) BETWEEN 1 AND 1024),
  name       text NOT NULL
);
CREATE INDEX workflows_of_account ON latchkey.workflows (account_id, name, id);

-- The platform's: replaceable by a view over its own table. Holds SHA-256 of opaque session tokens.
CREATE TABLE latchkey.sessions (
  token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
  account_id text COLLATE "C" NOT NULL CHECK (octet_length(account_id) BETWEEN 1 AND 1024),
  expires_at timestamptz NOT NULL
);

-- ---------------------------------------------------------------- who did what

-- Written in the transaction of the change itself. No foreign key: the trail outlives its key.
CREATE TABLE latchkey.key_audit (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at         timestamptz NOT NULL DEFAULT clock_timestamp(),
  action     text NOT NULL CHECK (action IN ('created', 'rotated', 'revoked', 'minted')),
  key_id     uuid NOT NULL,
  account_id text COLLATE "C" NOT NULL,
  actor      text NOT NULL,
  origin     text,
  details    jsonb NOT NULL DEFAULT '{}',
  CONSTRAINT key_audit_holds_no_raw_key CHECK (
    concat_ws(' ', actor, origin, details::text) !~ 'nk_live_[0-9a-f]{64}'
  )
);
CREATE INDEX key_audit_of_key ON latchkey.key_audit (key_id, id);

-- ---------------------------------------------------------------- history

-- One row: the newest event's number and token. A row rather than a database sequence, because the lock on it makes
-- the order of numbers the order of commits, and a rollback gives its number back.
CREATE TABLE latchkey.head (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  sequence  bigint NOT NULL CHECK (sequence >= 0),
  token     uuid NOT NULL
) WITH (autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);

-- Every committed change that can alter a decision. The token tells this history from another with the same numbers
-- (a failover that lost commits, a restored backup).
CREATE TABLE latchkey.events (
  sequence    bigint PRIMARY KEY,
  token       uuid NOT NULL,
  kind        text NOT NULL CHECK (kind IN (
    'key-created', 'key-changed', 'key-revoked', 'key-deleted', 'workflow-changed', 'everything-changed'
  )),
  key_id      uuid,
  key_hash    bytea,
  workflow_id text COLLATE "C",
  account_id  text COLLATE "C",
  app_id      text COLLATE "C",
  at          timestamptz NOT NULL
);

-- One row a cache. Ordinary and logged: a row that a crash could forget would be a lease that nobody waits for.
CREATE TABLE latchkey.sidecars (
  id               uuid PRIMARY KEY,
  renewals         bigint NOT NULL CHECK (renewals > 0),
  -- More than any configuration allows (an hour of `serve-cached` and a minute of lease): a bound on what a revocation
  -- could be made to wait.
  lease_ms         bigint NOT NULL CHECK (lease_ms BETWEEN 1 AND 86460000),
  applied_sequence bigint,
  applied_token    uuid,
  -- For people only; nothing is decided by these.
  application      text NOT NULL DEFAULT coalesce(current_setting('application_name', true), ''),
  registered_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  renewed_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK ((applied_sequence IS NULL) = (applied_token IS NULL))
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);

-- The first place in the history is an event like any other, so that a sidecar which stands there can prove it. Its
-- number is 1: a watch after 0 is one from now on, so that nobody could resume after an event of that number.
WITH genesis AS (
  INSERT INTO latchkey.head (sequence, token) VALUES (1, gen_random_uuid()) RETURNING sequence, token
)
INSERT INTO latchkey.events (sequence, token, kind, at)
SELECT sequence, token, 'everything-changed', clock_timestamp() FROM genesis;

-- Makes the commit of this transaction wait for the disk, and for the synchronous standby if there is one, whatever
-- the session, the role or the server say. Stricter settings are kept. Warnings must reach the client: that the standby
-- was not waited for to the end is told by one alone.
CREATE FUNCTION latchkey.require_durable_commit() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
    PERFORM set_config('synchronous_commit', 'on', true);
  END IF;
  IF current_setting('client_min_messages') IN ('error', 'fatal', 'panic') THEN
    PERFORM set_config('client_min_messages', 'warning', true);
  END IF;
END $$;

-- Numbers one change and writes it down. Must be the last thing that a transaction locks: it keeps `head` until commit.
--
-- A transaction with many changes updates `head` many times. Its own dead versions cannot be pruned before it ends, so
-- that finding the live one by a scan would cost the square of the number of changes. The place of the version written
-- last is therefore kept in a setting that ends with the transaction (and rolls back with a savepoint); a place that is
-- wrong for any reason finds no row, and the scan follows.
--
-- The change after the ten thousandth of a transaction is told as "everything changed", and those after it not at all:
-- each event takes its time at the commit, while every other writer waits for `head`, a revocation too.
--
-- A `head` that somebody deleted is made again, one number further than would follow: sidecars see the gap and start
-- over, because nobody knows what happened while there was no head.
CREATE FUNCTION latchkey.append_event(
  event_kind text, event_key_id uuid, event_key_hash bytea,
  event_workflow_id text, event_account_id text, event_app_id text
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  place        tid := nullif(current_setting('latchkey.head_place', true), '')::tid;
  changes      bigint := coalesce(nullif(current_setting('latchkey.changes', true), '')::bigint, 0);
  new_sequence bigint;
  new_token    uuid;
BEGIN
  IF changes > 10000 THEN
    RETURN;
  END IF;
  changes := changes + 1;
  PERFORM set_config('latchkey.changes', changes::text, true);
  IF changes > 10000 THEN
    event_kind := 'everything-changed';
    event_key_id := NULL; event_key_hash := NULL; event_workflow_id := NULL; event_account_id := NULL; event_app_id := NULL;
  END IF;
  PERFORM latchkey.require_durable_commit();
  IF place IS NOT NULL THEN
    UPDATE latchkey.head AS h SET sequence = h.sequence + 1, token = gen_random_uuid()
      WHERE h.ctid = place
      RETURNING h.sequence, h.token, h.ctid INTO new_sequence, new_token, place;
  END IF;
  IF new_sequence IS NULL THEN
    UPDATE latchkey.head AS h SET sequence = h.sequence + 1, token = gen_random_uuid()
      RETURNING h.sequence, h.token, h.ctid INTO new_sequence, new_token, place;
  END IF;
  IF new_sequence IS NULL THEN
    INSERT INTO latchkey.head AS h (sequence, token)
      SELECT greatest(
               (SELECT coalesce(max(e.sequence), 0) FROM latchkey.events AS e),
               (SELECT coalesce(max(s.applied_sequence), 0) FROM latchkey.sidecars AS s)
             ) + 2,
             gen_random_uuid()
      ON CONFLICT (singleton) DO UPDATE SET sequence = h.sequence + 1, token = excluded.token
      RETURNING h.sequence, h.token, h.ctid INTO new_sequence, new_token, place;
  END IF;
  PERFORM set_config('latchkey.head_place', place::text, true);
  INSERT INTO latchkey.events (sequence, token, kind, key_id, key_hash, workflow_id, account_id, app_id, at)
    VALUES (new_sequence, new_token, event_kind, event_key_id, event_key_hash, event_workflow_id, event_account_id,
            event_app_id, clock_timestamp());
  -- A hint without content: the same for all changes of a transaction, which therefore sends one.
  PERFORM pg_notify('latchkey_events', '');
END $$;

-- For readers that find no head: makes one, and says that everything may have changed.
CREATE FUNCTION latchkey.restore_head() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM latchkey.head) THEN
    PERFORM latchkey.append_event('everything-changed', NULL, NULL, NULL, NULL, NULL);
  END IF;
END $$;

-- Names this line of history: the database and its `head`, which a restored dump makes anew; the cluster; and its
-- timeline, which every promotion and every recovery to a point in time moves. NULL on a standby. The last two are left
-- out on managed servers that keep these functions to themselves.
CREATE FUNCTION latchkey.lineage() RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  here text;
BEGIN
  IF pg_is_in_recovery() THEN
    RETURN NULL;
  END IF;
  here := (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()) || '/' || 'latchkey.head'::regclass::oid;
  RETURN here || '/' || (SELECT c.system_identifier FROM pg_control_system() AS c) || '/'
    || left(pg_walfile_name(pg_current_wal_lsn()), 8);
EXCEPTION WHEN feature_not_supported OR insufficient_privilege OR undefined_function THEN
  RETURN here;
END $$;

-- Deletes at most `most` events that were superseded longer ago than `keep` (24 hours at least); returns how many.
-- The newest event that is older than that stays: a sidecar that has seen nothing since still stands on it.
CREATE FUNCTION latchkey.prune_events(keep interval, most bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  cutoff  timestamptz := clock_timestamp() - greatest(keep, interval '24 hours');
  deleted bigint;
BEGIN
  DELETE FROM latchkey.events AS e
    WHERE e.sequence IN (
      SELECT old.sequence FROM latchkey.events AS old
        WHERE old.sequence < (
          -- By number, not by time: a clock that stepped must not open a gap.
          SELECT coalesce(min(b.sequence) FILTER (WHERE b.at >= cutoff) - 1, max(b.sequence)) FROM latchkey.events AS b
        )
        ORDER BY old.sequence LIMIT most
    );
  GET DIAGNOSTICS deleted = ROW_COUNT;
  RETURN deleted;
END $$;

-- ---------------------------------------------------------------- triggers

-- Trigger functions run with the rights of their owner, so that a writer needs rights on the table it writes only.
CREATE FUNCTION latchkey.record_key_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM latchkey.append_event('key-created', NEW.id, NEW.key_hash, NEW.workflow_id, NEW.account_id, NEW.app_id);
  ELSIF TG_OP = 'DELETE' THEN
    PERFORM latchkey.append_event('key-deleted', OLD.id, OLD.key_hash, OLD.workflow_id, OLD.account_id, OLD.app_id);
  ELSE
    IF NEW.key_hash <> OLD.key_hash THEN
      PERFORM latchkey.append_event('key-changed', OLD.id, OLD.key_hash, OLD.workflow_id, OLD.account_id, OLD.app_id);
    END IF;
    PERFORM latchkey.append_event(
      CASE WHEN OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL THEN 'key-revoked' ELSE 'key-changed' END,
      NEW.id, NEW.key_hash, NEW.workflow_id, NEW.account_id, NEW.app_id);
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION latchkey.record_workflow_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM latchkey.append_event('workflow-changed', NULL, NULL, OLD.id, OLD.account_id, NULL);
  END IF;
  IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND (NEW.id, NEW.account_id) <> (OLD.id, OLD.account_id)) THEN
    PERFORM latchkey.append_event('workflow-changed', NULL, NULL, NEW.id, NEW.account_id, NULL);
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION latchkey.record_truncation() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM latchkey.append_event('everything-changed', NULL, NULL, NULL, NULL, NULL);
  RETURN NULL;
END $$;

CREATE FUNCTION latchkey.keep_revoked() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'key % is revoked and stays revoked', OLD.id
    USING ERRCODE = 'integrity_constraint_violation', HINT = 'Create another key.';
END $$;

-- Deferred, so that `head` is locked last and for the length of the commit only. What cannot alter a decision (a name,
-- a note of who revoked) is left out. ALWAYS: also for sessions that apply a replication stream.
CREATE CONSTRAINT TRIGGER key_created AFTER INSERT ON latchkey.api_keys
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION latchkey.record_key_change();
CREATE CONSTRAINT TRIGGER key_changed AFTER UPDATE ON latchkey.api_keys
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN ((OLD.id, OLD.key_hash, OLD.account_id, OLD.workflow_id, OLD.permissions, OLD.app_id, OLD.expires_at,
         OLD.revoked_at IS NULL)
        IS DISTINCT FROM
        (NEW.id, NEW.key_hash, NEW.account_id, NEW.workflow_id, NEW.permissions, NEW.app_id, NEW.expires_at,
         NEW.revoked_at IS NULL))
  EXECUTE FUNCTION latchkey.record_key_change();
CREATE CONSTRAINT TRIGGER key_deleted AFTER DELETE ON latchkey.api_keys
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION latchkey.record_key_change();
CREATE TRIGGER keys_truncated AFTER TRUNCATE ON latchkey.api_keys
  FOR EACH STATEMENT EXECUTE FUNCTION latchkey.record_truncation();
CREATE TRIGGER key_stays_revoked BEFORE UPDATE ON latchkey.api_keys
  FOR EACH ROW WHEN (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NULL)
  EXECUTE FUNCTION latchkey.keep_revoked();

CREATE CONSTRAINT TRIGGER workflow_created AFTER INSERT ON latchkey.workflows
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION latchkey.record_workflow_change();
CREATE CONSTRAINT TRIGGER workflow_changed AFTER UPDATE ON latchkey.workflows
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN ((OLD.id, OLD.account_id) IS DISTINCT FROM (NEW.id, NEW.account_id))
  EXECUTE FUNCTION latchkey.record_workflow_change();
CREATE CONSTRAINT TRIGGER workflow_deleted AFTER DELETE ON latchkey.workflows
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION latchkey.record_workflow_change();
CREATE TRIGGER workflows_truncated AFTER TRUNCATE ON latchkey.workflows
  FOR EACH STATEMENT EXECUTE FUNCTION latchkey.record_truncation();

ALTER TABLE latchkey.api_keys ENABLE ALWAYS TRIGGER key_created;
ALTER TABLE latchkey.api_keys ENABLE ALWAYS TRIGGER key_changed;
ALTER TABLE latchkey.api_keys ENABLE ALWAYS TRIGGER key_deleted;
ALTER TABLE latchkey.api_keys ENABLE ALWAYS TRIGGER keys_truncated;
ALTER TABLE latchkey.api_keys ENABLE ALWAYS TRIGGER key_stays_revoked;
ALTER TABLE latchkey.workflows ENABLE ALWAYS TRIGGER workflow_created;
ALTER TABLE latchkey.workflows ENABLE ALWAYS TRIGGER workflow_changed;
ALTER TABLE latchkey.workflows ENABLE ALWAYS TRIGGER workflow_deleted;
ALTER TABLE latchkey.workflows ENABLE ALWAYS TRIGGER workflows_truncated;
