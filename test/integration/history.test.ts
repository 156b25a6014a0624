import { randomBytes, randomUUID } from 'node:crypto';
import pg from 'pg';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Position } from '../../src/domain/history-event.js';
import { silentLogger } from '../../src/ports/logger.js';
import { PostgresHistory } from '../../src/store/postgres/postgres-history.js';
import { PostgresRevocationLog } from '../../src/store/postgres/postgres-revocation-log.js';
import { pruneEvents } from '../../src/store/postgres/prune-events.js';
import { testDatabase } from '../support/database.js';
import { waitUntil } from '../support/wait-until.js';

const db = await testDatabase();
const runner = db.runner();
const history = new PostgresHistory(runner, silentLogger);
const log = new PostgresRevocationLog(runner);

const INSERT = `INSERT INTO latchkey.api_keys (id, account_id, name, key_hash, key_prefix, permissions)
  VALUES ($1, 'acme', 'test', $2, 'nk_live_0000', '{read}')`;

async function insertKey(via: Pick<pg.Client, 'query'> = { query: db.query } as never): Promise<string> {
  const id = randomUUID();
  await via.query(INSERT, [id, randomBytes(32)]);
  return id;
}

const headNow = async (): Promise<Position> => (await history.readHistory(null, 1)).head;

/** Whether a sidecar that stands at `position` can go on from it: the rule of the protocol. */
async function continuesFrom(position: Position): Promise<boolean> {
  const { head, tokenAtPosition, events, overLimit } = await history.readHistory(position, 100_000);
  const whole = events.length === Number(head.sequence - position.sequence);
  return tokenAtPosition === position.token && !overLimit && whole;
}

beforeEach(async () => {
  await db.query('TRUNCATE latchkey.api_keys, latchkey.sidecars');
});

describe('the sequence', () => {
  it('begins at 1: a watch after 0 is one from now on', async () => {
    const fresh = await testDatabase();
    expect(await fresh.query('SELECT sequence FROM latchkey.head')).toEqual([{ sequence: '1' }]);
    expect(await fresh.query('SELECT sequence, kind FROM latchkey.events')).toEqual([
      { sequence: '1', kind: 'everything-changed' },
    ]);
  });

  it('belongs to a line that a restored dump does not continue, in the same cluster either', async () => {
    const lineage = async (of: { query: typeof db.query }) =>
      (await of.query<{ lineage: string }>('SELECT latchkey.lineage() AS lineage'))[0]?.lineage;
    const before = await lineage(db);
    expect(await lineage(db)).toBe(before);
    expect(await lineage(await testDatabase())).not.toBe(before);
    const fresh = await testDatabase();
    const first = await lineage(fresh);
    // As pg_restore --clean does it.
    await fresh.query('CREATE TABLE latchkey.again (LIKE latchkey.head INCLUDING ALL)');
    await fresh.query('INSERT INTO latchkey.again SELECT * FROM latchkey.head');
    await fresh.query('DROP TABLE latchkey.head; ALTER TABLE latchkey.again RENAME TO head');
    expect(await lineage(fresh)).not.toBe(first);
  });

  it('is the order of commits, under many writers at once', async () => {
    const start = await headNow();
    // Each reader's snapshots must grow without a gap: nothing may appear later below what was seen.
    const seen: bigint[] = [];
    let writing = true;
    const reader = (async () => {
      let position = start;
      while (writing) {
        const { events } = await history.readHistory(position, 100_000);
        for (const event of events) seen.push(event.sequence);
        const last = events.at(-1);
        if (last !== undefined) position = { sequence: last.sequence, token: last.token };
      }
      return position;
    })();
    const writers = await Promise.all(Array.from({ length: 6 }, () => db.client()));
    await Promise.all(
      writers.map(async (client, number) => {
        for (let round = 0; round < 15; round++) {
          await client.query('BEGIN');
          await insertKey(client);
          if (round % 3 === number % 3) await insertKey(client);
          await client.query(round % 4 === 3 ? 'ROLLBACK' : 'COMMIT');
        }
      }),
    );
    writing = false;
    const position = await reader;
    const rest = (await history.readHistory(position, 100_000)).events.map(({ sequence }) => sequence);
    const all = [...seen, ...rest];
    const { sequence: end } = await headNow();
    expect(all).toEqual(
      Array.from({ length: Number(end - start.sequence) }, (_, at) => start.sequence + BigInt(at) + 1n),
    );
    expect(all.length).toBeGreaterThan(60);
  });

  it('has no gap after a rollback', async () => {
    const start = await headNow();
    const client = await db.client();
    await client.query('BEGIN');
    await insertKey(client);
    await client.query('SET CONSTRAINTS ALL IMMEDIATE');
    await client.query('ROLLBACK');
    await insertKey();
    expect((await headNow()).sequence).toBe(start.sequence + 1n);
    expect(await continuesFrom(start)).toBe(true);
  });

  it('holds nobody up before the commit: an open transaction does not lock the head', async () => {
    const client = await db.client();
    await client.query('BEGIN');
    const id = await insertKey(client);
    await insertKey();
    const start = await headNow();
    await client.query('COMMIT');
    const { events } = await history.readHistory(start, 10);
    expect(events).toMatchObject([{ sequence: start.sequence + 1n, keyId: id }]);
  });

  it('takes a transaction of repeatable-read writers back rather than disorder it', async () => {
    const [one, two] = [await db.client(), await db.client()];
    for (const client of [one, two]) {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      await insertKey(client);
    }
    await one.query('COMMIT');
    await expect(two.query('COMMIT')).rejects.toMatchObject({ code: '40001' });
  });

  it('numbers 10 000 revocations of one transaction, each once, and stays readable', async () => {
    await db.query(
      `INSERT INTO latchkey.api_keys (account_id, name, key_hash, key_prefix, permissions)
         SELECT 'acme', 'k', sha256(n::text::bytea), 'nk_live_0000', '{read}' FROM generate_series(1, 10000) AS n`,
    );
    const start = await headNow();
    await db.query('UPDATE latchkey.api_keys SET revoked_at = clock_timestamp()');
    const { head, events } = await history.readHistory(start, 10_000);
    expect(head.sequence - start.sequence).toBe(10_000n);
    expect(new Set(events.map(({ keyId }) => keyId)).size).toBe(10_000);
    expect(events.every(({ kind }) => kind === 'key-revoked')).toBe(true);
    expect((await history.readHistory(start, 9_999)).overLimit).toBe(true);
  });

  it('tells no more than 10 000 changes of one transaction one by one, and then that everything changed', async () => {
    const start = await headNow();
    await db.query(
      "INSERT INTO latchkey.workflows (id, account_id, name) SELECT 'bulk-' || n, 'acme', 'n' FROM generate_series(1, 10100) AS n",
    );
    const events = await db.query<{ kind: string; count: number }>(
      'SELECT kind, count(*)::int AS count FROM latchkey.events WHERE sequence > $1 GROUP BY kind ORDER BY kind',
      [start.sequence],
    );
    expect(events).toEqual([
      { kind: 'everything-changed', count: 1 },
      { kind: 'workflow-changed', count: 10_000 },
    ]);
    // The next transaction tells its own changes again.
    await db.query("DELETE FROM latchkey.workflows WHERE id = 'bulk-1'");
    expect((await headNow()).sequence - start.sequence).toBe(10_002n);
  });

  it('finds the head in one look for each of them: work grows with their number, not with its square', async () => {
    const looks = async (changes: number) => {
      // The counters are a session's.
      const client = await db.client();
      await client.query('BEGIN');
      await client.query(
        `INSERT INTO latchkey.api_keys (account_id, name, key_hash, key_prefix, permissions)
           SELECT 'acme', 'k', sha256(gen_random_uuid()::text::bytea), 'nk_live_0000', '{read}'
             FROM generate_series(1, $1::int)`,
        [changes],
      );
      await client.query('SET CONSTRAINTS ALL IMMEDIATE');
      // A look by place is not a scan.
      const { rows } = await client.query<{ scans: string }>(
        "SELECT seq_scan + coalesce(idx_scan, 0) AS scans FROM pg_stat_xact_all_tables WHERE relid = 'latchkey.head'::regclass",
      );
      await client.query('ROLLBACK');
      return Number(rows[0]?.scans);
    };
    expect([await looks(20), await looks(200)]).toEqual([1, 1]);
  });
});

describe('a head that was deleted by hand', () => {
  it.each(['DELETE FROM latchkey.head', 'TRUNCATE latchkey.head'])(
    'is made again by the next writer, and sidecars see that the history changed (%s)',
    async (sql) => {
      await insertKey();
      const place = await headNow();
      await db.query(sql);
      const id = await insertKey();
      const { head } = await history.readHistory(null, 1);
      expect(head.sequence).toBeGreaterThan(place.sequence + 1n);
      expect(await continuesFrom(place)).toBe(false);
      expect((await log.readAfter(place.sequence, 10)).events).toMatchObject([{ kind: 'key-created', keyId: id }]);
    },
  );

  it('is made again by the next reader when nobody writes', async () => {
    await insertKey();
    const place = await headNow();
    await db.query('DELETE FROM latchkey.head');
    expect(await continuesFrom(place)).toBe(false);
    expect((await history.readHistory(place, 10)).events).toMatchObject([{ kind: 'everything-changed' }]);
    expect((await history.readBarrier()).head.sequence).toBeGreaterThan(place.sequence);
  });

  it('is made once by many at once', async () => {
    await db.query('DELETE FROM latchkey.head');
    await Promise.all(Array.from({ length: 4 }, () => insertKey()));
    expect(await db.query('SELECT count(*)::int AS heads FROM latchkey.head')).toEqual([{ heads: 1 }]);
    expect((await log.readAfter(0n, 100_000)).events.slice(-4).map(({ kind }) => kind)).toEqual(
      Array.from({ length: 4 }, () => 'key-created'),
    );
  });

  it('lies beyond what any sidecar ever claimed, so that no old claim passes for an acknowledgement', async () => {
    const sidecarId = randomUUID();
    await insertKey();
    await history.register({ sidecarId, attempt: 1, leaseMs: 1_000, position: await headNow() });
    await db.query('DELETE FROM latchkey.head');
    await db.query('TRUNCATE latchkey.events');
    await insertKey();
    const { head, sidecars } = await history.readBarrier();
    expect(sidecars).toMatchObject([{ id: sidecarId, appliedSequence: -1n }]);
    expect(head.sequence).toBeGreaterThan(0n);
  });
});

describe('events that were deleted by hand', () => {
  it('are missed by whoever still needs them, and by nobody else', async () => {
    const early = await headNow();
    await insertKey();
    const late = await headNow();
    await db.query('TRUNCATE latchkey.events');
    expect(await continuesFrom(late)).toBe(true);
    expect(await continuesFrom(early)).toBe(false);
    expect(await log.readAfter(late.sequence, 10)).toEqual({
      events: [],
      headSequence: late.sequence,
      oldestSequence: late.sequence + 1n,
    });
  });
});

describe('another history with the same numbers', () => {
  it('is told apart by its tokens, for sidecars and for barriers', async () => {
    const sidecarId = randomUUID();
    await insertKey();
    const place = await headNow();
    await history.register({ sidecarId, attempt: 1, leaseMs: 1_000, position: place });
    // What a restored backup or a failover leaves behind: the same number, another event.
    await db.query('UPDATE latchkey.head SET token = gen_random_uuid()');
    await db.query('UPDATE latchkey.events SET token = gen_random_uuid() WHERE sequence = $1', [place.sequence]);
    expect(await continuesFrom(place)).toBe(false);
    expect((await history.readBarrier()).sidecars).toMatchObject([{ id: sidecarId, appliedSequence: -1n }]);
    expect(await history.acknowledge(sidecarId, place)).toBe(false);
  });
});

describe('pruning', () => {
  const age = (sequence: bigint, hours: number) =>
    db.query("UPDATE latchkey.events SET at = at - $2 * interval '1 hour' WHERE sequence <= $1", [sequence, hours]);

  it('deletes what was superseded a day ago, and keeps the place of a sidecar that has seen nothing since', async () => {
    await insertKey();
    await insertKey();
    const place = await headNow();
    await age(place.sequence, 30);
    await insertKey();
    expect(await pruneEvents(runner, 1)).toBeGreaterThan(0);
    expect(await continuesFrom(place)).toBe(true);
    const { oldestSequence } = await log.readAfter(0n, 10);
    expect(oldestSequence).toBe(place.sequence);
  });

  it('keeps a day, whatever is asked', async () => {
    await insertKey();
    const place = await headNow();
    await age(place.sequence, 23);
    await insertKey();
    await pruneEvents(runner, 0);
    expect((await log.readAfter(place.sequence - 1n, 10)).events).toHaveLength(2);
  });

  it('keeps longer when asked', async () => {
    await insertKey();
    const place = await headNow();
    await age(place.sequence, 30);
    await insertKey();
    await pruneEvents(runner, 48 * 3_600_000);
    expect((await log.readAfter(place.sequence - 1n, 10)).events).toHaveLength(2);
  });

  it('never opens a gap when the clock of the database was stepped back and forth', async () => {
    const start = await headNow();
    for (let count = 0; count < 4; count++) await insertKey();
    await db.query("UPDATE latchkey.events SET at = at - interval '40 hours' WHERE sequence = $1", [
      start.sequence + 3n,
    ]);
    await pruneEvents(runner, 1);
    expect(await continuesFrom({ ...start, sequence: start.sequence })).toBe(true);
  });
});

describe('a sidecar that slept while events were pruned', () => {
  it('learns that it must start over', async () => {
    await insertKey();
    const place = await headNow();
    await insertKey();
    await insertKey();
    await db.query("UPDATE latchkey.events SET at = at - interval '80 hours'");
    await insertKey();
    await pruneEvents(runner);
    expect(await continuesFrom(place)).toBe(false);
  });
});

describe('a renewal', () => {
  it('does not move a position back that was acknowledged while it waited for its row', async () => {
    const sidecarId = randomUUID();
    const first = await headNow();
    await insertKey();
    const second = await headNow();
    await history.register({ sidecarId, attempt: 1, leaseMs: 1_000, position: null });
    const holder = new pg.Client({ connectionString: db.url });
    await holder.connect();
    await holder.query('BEGIN');
    await holder.query('UPDATE latchkey.sidecars SET applied_sequence = $2, applied_token = $3 WHERE id = $1', [
      sidecarId,
      second.sequence,
      second.token,
    ]);
    const renewed = history.renew({ sidecarId, attempt: 2, leaseMs: 1_000, position: first });
    await waitForLock();
    await holder.query('COMMIT');
    await holder.end();
    expect(await renewed).toBe(true);
    expect((await history.readBarrier()).sidecars).toMatchObject([{ renewals: 2, appliedSequence: second.sequence }]);
  });
});

/** Resolves when some session of the database waits for a lock. */
async function waitForLock(): Promise<void> {
  await waitUntil('a session waits for a lock', async () => {
    const [row] = await db.query<{ waiting: number }>(
      "SELECT count(*)::int AS waiting FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
    );
    return (row?.waiting ?? 0) > 0;
  });
}
