import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Failure } from '../../src/domain/failure.js';
import { ALL_PERMISSIONS } from '../../src/domain/permissions.js';
import { hashRawKey, keyHashFromBytes, keyPrefixOf, mintRawKey } from '../../src/domain/raw-key.js';
import { systemClock } from '../../src/observability/system-clock.js';
import { systemTimers } from '../../src/observability/system-timers.js';
import { silentLogger } from '../../src/ports/logger.js';
import { migrate } from '../../src/store/postgres/migrate.js';
import { createPool } from '../../src/store/postgres/pool.js';
import { PostgresHistory } from '../../src/store/postgres/postgres-history.js';
import { PostgresKeyRegistry } from '../../src/store/postgres/postgres-key-registry.js';
import { PostgresKeySource } from '../../src/store/postgres/postgres-key-source.js';
import { PostgresRevocationLog } from '../../src/store/postgres/postgres-revocation-log.js';
import { PostgresWorkflowSource } from '../../src/store/postgres/postgres-workflow-source.js';
import { QueryRunner } from '../../src/store/postgres/run-query.js';
import { PostgresServer } from '../support/postgres-server.js';
import { waitUntil } from '../support/wait-until.js';

const ACTOR = { name: 'test', origin: null };
let primary: PostgresServer;
let standby: PostgresServer;

function runnerOn(server: PostgresServer): QueryRunner {
  const pool = createPool({ url: server.url, size: 4, logger: silentLogger });
  afterAll(() => pool.end());
  return new QueryRunner({
    pool,
    clock: systemClock,
    timers: systemTimers,
    metrics: { databaseCall() {} },
    logger: silentLogger,
  });
}

function newKey() {
  const rawKey = mintRawKey();
  return {
    accountId: 'acme',
    name: 'k',
    keyHash: hashRawKey(rawKey),
    keyPrefix: keyPrefixOf(rawKey),
    workflowId: null,
    permissions: ALL_PERMISSIONS,
    expiresAtMs: null,
  };
}

beforeAll(async () => {
  primary = await PostgresServer.create();
  await migrate({ url: primary.url, logger: silentLogger });
  // The worst that a role can be given: neither may make a commit look confirmed that is not.
  await primary.query("ALTER ROLE CURRENT_USER SET synchronous_commit = 'local'");
  await primary.query("ALTER ROLE CURRENT_USER SET client_min_messages = 'error'");
  standby = await primary.createStandby();
  await primary.set('synchronous_standby_names', '*');
  await waitUntil('the standby is synchronous', async () => {
    const [row] = await primary.query<{ sync_state: string }>('SELECT sync_state FROM pg_stat_replication');
    return row?.sync_state === 'sync';
  });
});

afterAll(async () => {
  await primary.destroy();
  await standby.destroy();
});

describe('a standby', () => {
  it('is asked nothing: its answers may be older than the question', async () => {
    const runner = runnerOn(standby);
    const history = new PostgresHistory(runner, silentLogger);
    const sidecarId = randomUUID();
    const position = { sequence: 0n, token: randomUUID() };
    const renewal = { sidecarId, attempt: 1, leaseMs: 1_000, position: null };
    for (const [what, ask] of Object.entries({
      keys: () => new PostgresKeySource(runner, silentLogger).readMany([keyHashFromBytes(randomBytes(32))]),
      workflows: () => new PostgresWorkflowSource(runner, silentLogger).readMany(['w']),
      readHistory: () => history.readHistory(null, 1),
      readBarrier: () => history.readBarrier(),
      register: () => history.register(renewal),
      renew: () => history.renew(renewal),
      acknowledge: () => history.acknowledge(sidecarId, position),
      deregister: () => history.deregister(sidecarId),
      forget: () => history.forget([{ id: sidecarId, renewals: 1 }]),
      revocations: () => new PostgresRevocationLog(runner).readAfter(0n, 1),
      create: () => new PostgresKeyRegistry(runner).create(newKey(), ACTOR, 10),
    })) {
      const error: unknown = await ask().catch((error: unknown) => error);
      expect([what, error instanceof Failure && error.kind]).toEqual([what, 'unavailable']);
    }
  });
});

describe('a commit that its synchronous standby has not confirmed', () => {
  it('is not confirmed to the caller either, though it stands', async () => {
    const runner = runnerOn(primary);
    const registry = new PostgresKeyRegistry(runner);
    const { id } = await registry.create(newKey(), ACTOR, 10);
    await standby.stop();
    const revoked = registry.revoke(id, 'acme', ACTOR).then(
      () => 'confirmed',
      (error: unknown) => error,
    );
    // Somebody ends the wait for the standby; the server commits with a warning, and without an error.
    await waitUntil('the commit waits for the standby', async () => {
      const rows = await primary.query<{ cancelled: boolean }>(
        "SELECT pg_cancel_backend(pid) AS cancelled FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = 'COMMIT'",
      );
      return rows.length > 0;
    });
    const outcome = await revoked;
    expect(outcome).toBeInstanceOf(Failure);
    expect((outcome as Failure).kind).toBe('unavailable');
    expect(
      await primary.query('SELECT revoked_at IS NOT NULL AS revoked FROM latchkey.api_keys WHERE id = $1', [id]),
    ).toEqual([{ revoked: true }]);

    // Asked again, nothing changes, but the commit must be confirmed all the same: it vouches for what it has seen.
    const settled: string[] = [];
    const again = registry.revoke(id, 'acme', ACTOR).finally(() => settled.push('key'));
    const ofApp = registry.revokeAppKeys('no-such-app', ACTOR).finally(() => settled.push('app'));
    await waitUntil('the repeated commits wait for the standby', async () => {
      const [row] = await primary.query<{ waiting: number }>(
        "SELECT count(*)::int AS waiting FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
      );
      return (row?.waiting ?? 0) >= 2;
    });
    expect(settled).toEqual([]);
    await standby.start();
    expect((await again).alreadyRevoked).toBe(true);
    expect((await ofApp).revoked).toBe(0);
  });

  it.each(['renewal', 'registration'])('is not a %s either', async (what) => {
    const history = new PostgresHistory(runnerOn(primary), silentLogger);
    const sidecarId = randomUUID();
    const renewal = { sidecarId, attempt: 1, leaseMs: 1_000, position: null };
    if (what === 'renewal') await history.register(renewal);
    await standby.stop();
    const done = (what === 'renewal' ? history.renew({ ...renewal, attempt: 2 }) : history.register(renewal)).then(
      () => 'done',
      (error: unknown) => error,
    );
    await waitUntil(`the ${what} waits for the standby`, async () => {
      const rows = await primary.query(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
      );
      return rows.length > 0;
    });
    expect(await done).toBeInstanceOf(Failure);
    await standby.start();
  });
});

describe('after a failover', () => {
  it('the promoted standby has all that was confirmed, and the same history goes on', async () => {
    const registry = new PostgresKeyRegistry(runnerOn(primary));
    const { id } = await registry.create(newKey(), ACTOR, 10);
    const { committedAtMs } = await registry.revoke(id, 'acme', ACTOR);
    const before = new PostgresHistory(runnerOn(primary), silentLogger);
    const { head, lineage } = await before.readHistory(null, 1);
    expect(lineage).not.toBeNull();
    await primary.kill();
    await primary.start();
    // A crash and its recovery are no other line of history; whoever stands on it need not start over.
    await waitUntil('the standby follows again', async () => {
      const [row] = await primary.query<{ sync_state: string }>('SELECT sync_state FROM pg_stat_replication');
      return row?.sync_state === 'sync';
    });
    expect((await new PostgresHistory(runnerOn(primary), silentLogger).readHistory(null, 1)).lineage).toBe(lineage);
    await primary.kill();
    await standby.promote();
    await standby.set('synchronous_standby_names', '');
    const history = new PostgresHistory(runnerOn(standby), silentLogger);
    expect(await history.readHistory(head, 10)).toMatchObject({ head, tokenAtPosition: head.token, events: [] });
    // The numbers and tokens fit; that the old primary may have answered with what was lost shows in the lineage alone.
    const promoted = (await history.readHistory(head, 10)).lineage;
    expect(promoted).not.toBeNull();
    expect(promoted).not.toBe(lineage);
    const again = await new PostgresKeyRegistry(runnerOn(standby)).revoke(id, 'acme', ACTOR);
    expect(again).toMatchObject({ alreadyRevoked: true, committedAtMs });
  });
});
