import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Failure } from '../../src/domain/failure.js';
import { systemClock } from '../../src/observability/system-clock.js';
import { systemTimers } from '../../src/observability/system-timers.js';
import { silentLogger } from '../../src/ports/logger.js';
import { createPool } from '../../src/store/postgres/pool.js';
import { QueryRunner, type Statement } from '../../src/store/postgres/run-query.js';
import { testDatabase } from '../support/database.js';
import { startTcpProxy, type TcpProxy, throughProxy } from '../support/tcp-proxy.js';
import { waitUntil } from '../support/wait-until.js';

const db = await testDatabase();

const sql = (text: string, more: Partial<Statement> = {}): Statement => ({ operation: 'test', text, ...more });

/** A runner on one connection, which shows whether it was given back. */
function single(url = db.url) {
  const pool = createPool({ url, size: 1, logger: silentLogger });
  afterAll(() => pool.end());
  const databaseCall = vi.fn();
  const runner = new QueryRunner({
    pool,
    clock: systemClock,
    timers: systemTimers,
    metrics: { databaseCall },
    logger: silentLogger,
  });
  return { pool, runner, databaseCall };
}

async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  const error: unknown = await promise.then(
    () => new Error('resolved'),
    (error: unknown) => error,
  );
  if (!(error instanceof Failure)) throw error;
  return error;
}

describe('a statement', () => {
  it('answers rows by column, and is measured under its name', async () => {
    const { runner, databaseCall } = single();
    expect(await runner.run(sql('SELECT $1::int AS n'), [7])).toEqual([{ n: 7 }]);
    expect(databaseCall).toHaveBeenCalledExactlyOnceWith('test', expect.any(Number), 'ok');
  });

  it('past its deadline is a failure, and its connection is never used again', async () => {
    const { pool, runner, databaseCall } = single();
    const [before] = await runner.run(sql('SELECT pg_backend_pid() AS pid'));
    const failure = await failureOf(runner.run(sql('SELECT pg_sleep(60)', { deadlineMs: 100 })));
    expect(failure.kind).toBe('deadline-exceeded');
    expect(databaseCall).toHaveBeenLastCalledWith('test', expect.any(Number), 'deadline-exceeded');
    const [after] = await runner.run(sql('SELECT pg_backend_pid() AS pid'));
    expect(after?.pid).not.toBe(before?.pid);
    expect(pool.totalCount).toBe(1);
  });

  it('past its deadline does not go on waiting in the server, where it would hold a connection', async () => {
    const { runner } = single();
    await db.query('CREATE TABLE locked (n int)');
    const holder = await db.client();
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE locked');
    const waiting = async () => {
      const [row] = await db.query<{ sessions: number }>(
        "SELECT count(*)::int AS sessions FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FROM locked'",
      );
      return row?.sessions ?? 0;
    };
    // Anew while a pause of the machine was as long as the deadline: it has to be seen waiting.
    await waitUntil('the statement waits', async () => {
      let over = false;
      const refused = failureOf(runner.run(sql('SELECT n FROM locked', { deadlineMs: 300 }))).finally(() => {
        over = true;
      });
      let seen = false;
      while (!over && !seen) seen = (await waiting()) === 1;
      expect((await refused).kind).toBe('deadline-exceeded');
      return seen;
    });
    await waitUntil('the server has given up too', async () => (await waiting()) === 0);
    await holder.query('ROLLBACK');
  });

  it('that waits for a connection too long is a failure, and disturbs nobody', async () => {
    const { runner } = single();
    const slow = runner.run(sql('SELECT pg_sleep(0.4)'));
    expect((await failureOf(runner.run(sql('SELECT 1', { deadlineMs: 50 })))).kind).toBe('deadline-exceeded');
    await expect(slow).resolves.toHaveLength(1);
    await expect(runner.run(sql('SELECT 1'))).resolves.toHaveLength(1);
  });

  it.each([
    ['a refused value', sql("SELECT 'x'::uuid"), 'invalid-argument'],
    ['a NUL', sql("SELECT convert_from('\\x00', 'UTF8')"), 'invalid-argument'],
    ['a table that is not there', sql('SELECT FROM latchkey.nothing'), 'unavailable'],
    ['a division by zero', sql('SELECT 1 / 0'), 'unavailable'],
    ['a cut connection', sql('SELECT pg_terminate_backend(pg_backend_pid())'), 'unavailable'],
  ])('translates %s, without the words of the driver', async (_, statement, kind) => {
    const { runner } = single();
    const failure = await failureOf(runner.run(statement));
    expect(failure.kind).toBe(kind);
    expect(failure.message).not.toMatch(/uuid|latchkey|division|UTF8|terminat/i);
    // One bad statement leaves a connection for the next.
    await expect(runner.run(sql('SELECT 1'))).resolves.toHaveLength(1);
  });

  it('keeps stored values out of what it logs of an error', async () => {
    const { runner } = single();
    await db.query('CREATE TABLE secrets (secret text PRIMARY KEY)');
    await db.query("INSERT INTO secrets VALUES ('hunter2')");
    const failure = await failureOf(runner.run(sql("INSERT INTO secrets VALUES ('hunter2')")));
    expect(failure.kind).toBe('conflict');
    expect(JSON.stringify([failure, failure.cause, { ...(failure.cause as Error) }])).not.toContain('hunter2');
    expect(Object.values(failure.cause as object).join()).not.toContain('hunter2');
  });

  it.each([
    ['nobody listens', 1],
    ['the name is unknown', 'no-such-host.invalid'],
  ])('is unavailable when %s', async (_, where) => {
    const url = typeof where === 'number' ? `postgres://a@127.0.0.1:${where}/a` : `postgres://a@${where}/a`;
    expect((await failureOf(single(url).runner.run(sql('SELECT 1')))).kind).toBe('unavailable');
  });

  it('is unavailable with a wrong password, which is not repeated', async () => {
    const url = new URL(db.url);
    url.password = 'wrong-password';
    const failure = await failureOf(single(url.href).runner.run(sql('SELECT 1')));
    expect(failure.kind).toBe('unavailable');
    expect(`${failure.message} ${(failure.cause as Error).message}`).not.toContain('wrong-password');
  });
});

describe('a connection that went silent', () => {
  let proxy: TcpProxy;
  beforeAll(async () => {
    proxy = await startTcpProxy(Number(new URL(db.url).port));
  });
  afterAll(() => proxy.close());

  it('costs one deadline; after that a new connection is used', async () => {
    const { pool, runner } = single(throughProxy(db.url, proxy));
    await runner.run(sql('SELECT 1'));
    proxy.freeze();
    expect((await failureOf(runner.run(sql('SELECT 1', { deadlineMs: 100 })))).kind).toBe('deadline-exceeded');
    expect(pool.totalCount).toBe(0);
    proxy.thaw();
    await expect(runner.run(sql('SELECT 1'))).resolves.toHaveLength(1);
  });

  it('while it is made, costs one deadline too', async () => {
    const { runner } = single(throughProxy(db.url, proxy));
    proxy.freeze();
    expect((await failureOf(runner.run(sql('SELECT 1', { deadlineMs: 100 })))).kind).toBe('deadline-exceeded');
    proxy.thaw();
  });
});

/** Of this file's own. */
const databaseName = () => new URL(db.url).pathname.slice(1);

describe('a transaction', () => {
  it('sees what others have committed since it began, whatever the role is given', async () => {
    const { runner } = single();
    const [user] = await db.query<{ name: string }>('SELECT current_user AS name');
    await db.query(
      `ALTER ROLE ${user?.name} IN DATABASE ${databaseName()} SET default_transaction_isolation = 'serializable'`,
    );
    try {
      const seen = await runner.transact('test', (run) => run(sql('SHOW transaction_isolation')));
      expect(seen).toEqual([{ transaction_isolation: 'read committed' }]);
    } finally {
      await db.query(`ALTER ROLE ${user?.name} IN DATABASE ${databaseName()} RESET default_transaction_isolation`);
    }
  });

  it('commits what it did, and rolls back when its work fails', async () => {
    const { runner } = single();
    await db.query('CREATE TABLE t (n int)');
    await runner.transact('test', (run) => run(sql('INSERT INTO t VALUES (1)')));
    const failure = await failureOf(
      runner.transact('test', async (run) => {
        await run(sql('INSERT INTO t VALUES (2)'));
        throw new Failure('not-found', 'no');
      }),
    );
    expect(failure.kind).toBe('not-found');
    expect(await db.query('SELECT n FROM t')).toEqual([{ n: 1 }]);
    // The connection is clean.
    expect(await runner.run(sql('SELECT txid_current_if_assigned() AS xid'))).toEqual([{ xid: null }]);
  });

  it('is not taken for done when a statement in it failed and the work went on', async () => {
    const { runner } = single();
    const outcome = runner.transact('test', async (run) => {
      await run(sql('SELECT 1 / 0')).catch(() => {});
    });
    expect((await failureOf(outcome)).kind).toBe('unavailable');
  });

  it('waits for the disk at its commit, whatever the role says', async () => {
    await db.query(`ALTER DATABASE ${databaseName()} SET synchronous_commit = off`);
    try {
      const { runner } = single();
      const shown = sql("SELECT current_setting('synchronous_commit') AS level");
      expect(await runner.transact('test', (run) => run(shown))).toEqual([{ level: 'on' }]);
      expect(await runner.run(shown)).toEqual([{ level: 'off' }]);
    } finally {
      await db.query(`ALTER DATABASE ${databaseName()} RESET synchronous_commit`);
    }
  });

  it('is tried again from the start after a deadlock, until both have had their way', async () => {
    const runner = db.runner();
    await db.query('CREATE TABLE d (id int PRIMARY KEY, n int)');
    await db.query('INSERT INTO d VALUES (1, 0), (2, 0)');
    let attempts = 0;
    let arrived = 0;
    const both = (first: number, second: number) =>
      runner.transact('test', async (run) => {
        attempts++;
        await run(sql('UPDATE d SET n = n + 1 WHERE id = $1'), [first]);
        arrived++;
        await waitUntil('both hold their first row', () => arrived >= 2);
        await run(sql('UPDATE d SET n = n + 1 WHERE id = $1'), [second]);
      });
    await Promise.all([both(1, 2), both(2, 1)]);
    // More when the one that was broken off takes its row again before the other has woken.
    expect(attempts).toBeGreaterThanOrEqual(3);
    expect(await db.query('SELECT n FROM d')).toEqual([{ n: 2 }, { n: 2 }]);
  });

  it('gives up on conflicts after a bounded number of attempts', async () => {
    const { runner } = single();
    let attempts = 0;
    const failure = await failureOf(
      runner.transact('test', async (run) => {
        attempts++;
        await run(sql("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$"));
      }),
    );
    expect([failure.kind, attempts]).toEqual(['unavailable', 6]);
  });
});

describe('prepared statements', () => {
  it('are given up, once and for all, where a pooler does not keep them', async () => {
    const warn = vi.fn();
    const pool = createPool({ url: db.url, size: 1, logger: silentLogger });
    afterAll(() => pool.end());
    const runner = new QueryRunner({
      pool,
      clock: systemClock,
      timers: systemTimers,
      metrics: { databaseCall() {} },
      logger: { ...silentLogger, warn },
    });
    const statement = sql('SELECT $1::int AS n', { prepared: true });
    expect(await runner.run(statement, [1])).toEqual([{ n: 1 }]);
    // What a transaction pooler does: the next question meets a session that never saw the statement.
    await runner.run(sql('DEALLOCATE ALL'));
    expect(await runner.run(statement, [2])).toEqual([{ n: 2 }]);
    await runner.run(sql('DEALLOCATE ALL'));
    expect(await runner.run(statement, [3])).toEqual([{ n: 3 }]);
    expect(warn).toHaveBeenCalledOnce();
  });
});

describe('a server that accepts and never speaks', () => {
  it('costs one deadline', async () => {
    const server = createServer(() => {});
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const { port } = server.address() as { port: number };
    const { runner } = single(`postgres://a@127.0.0.1:${port}/a`);
    expect((await failureOf(runner.run(sql('SELECT 1', { deadlineMs: 100 })))).kind).toBe('deadline-exceeded');
    server.close();
  });
});
