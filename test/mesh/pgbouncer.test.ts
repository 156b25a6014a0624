import { createHash, randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createLatchkeyClient } from '../../src/client/index.js';
import { type TestDatabase, testDatabase } from '../support/database.js';
import { describeWithPeer } from '../support/peers.js';
import { type PgBouncer, startPgBouncer } from '../support/pgbouncer.js';
import { FREE_PORTS, Program } from '../support/program.js';
import { waitUntil } from '../support/wait-until.js';

/** Server connections of the pooler: fewer than the clients of two sidecars. */
const POOL_SIZE = 4;
const LEASE_MS = 3_000;
const DEAF = 'LISTEN does not work on this connection';

describeWithPeer('pgbouncer', 'behind PgBouncer in transaction mode', (program) => {
  let database: TestDatabase;
  let pooler: PgBouncer;
  let token: string;
  const sidecars: Program[] = [];

  beforeAll(async () => {
    database = await testDatabase();
    pooler = await startPgBouncer(program, database.url, POOL_SIZE);
    token = randomBytes(16).toString('hex');
    await database.query(
      `INSERT INTO latchkey.sessions (token_hash, account_id, expires_at) VALUES ($1, 'pooled', now() + interval '1 day')`,
      [createHash('sha256').update(token).digest()],
    );
    await database.query(`INSERT INTO latchkey.workflows (id, account_id, name) VALUES ('w', 'pooled', 'Pooled')`);
  });
  afterEach(async () => {
    for (const sidecar of sidecars.splice(0)) {
      sidecar.kill('SIGTERM');
      expect(await sidecar.ended).toMatchObject({ code: 0 });
    }
  });
  afterAll(() => pooler?.stop());

  const start = async (listenUrl: string) => {
    const sidecar = new Program(['serve'], {
      ...FREE_PORTS,
      DATABASE_URL: pooler.url,
      LATCHKEY_LISTEN_DATABASE_URL: listenUrl,
      LATCHKEY_SESSION_MODE: 'table',
      LATCHKEY_LEASE_MS: String(LEASE_MS),
    });
    sidecars.push(sidecar);
    const { grpc, http, metrics } = await sidecar.ready();
    const client = createLatchkeyClient({ address: grpc[0] ?? '', deadlineMs: 5_000 });
    return {
      sidecar,
      /** Whether the key may read the workflow. */
      allows: async (key: string) =>
        (await client.authorize({ key, workflowId: 'w', method: 'nodes.getOutput' })).allowed,
      rest: async (method: string, path: string, body?: object) => {
        const response = await fetch(`${http}${path}`, {
          method,
          headers: {
            cookie: `session=${token}`,
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        return { status: response.status, body: (await response.json()) as Record<string, unknown> };
      },
      metric: async (name: string) => {
        const text = await (await fetch(`${metrics}/metrics`)).text();
        return Number(new RegExp(`^${name} (.+)$`, 'm').exec(text)?.[1]);
      },
      close: () => client.close(),
    };
  };

  type Running = Awaited<ReturnType<typeof start>>;

  /** Creates keys, has both sidecars remember them, revokes them, and asks both again. */
  const expectRevocationsToHold = async (one: Running, other: Running) => {
    const pair = [one, other];
    const results = await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        const created = await one.rest('POST', '/api/keys', { name: `pooled ${index}` });
        expect(created.status).toBe(201);
        const key = String(created.body['raw_key']);
        const before = await Promise.all(pair.map((each) => each.allows(key)));
        const revoked = await other.rest('DELETE', `/api/keys/${String(created.body['id'])}`);
        const after = await Promise.all(pair.map((each) => each.allows(key)));
        return { before, status: revoked.status, receipt: revoked.body['receipt'], after };
      }),
    );
    for (const { before, status, receipt, after } of results) {
      expect({ before, status, after }).toEqual({ before: [true, true], status: 200, after: [false, false] });
      expect(receipt).toMatchObject({ sidecars: { acknowledged: 2, expired: 0 } });
    }
    for (const each of pair) expect(await each.metric('latchkey_lease_valid')).toBe(1);
  };

  it('confirms revocations, with notifications over a direct connection', async () => {
    const pair = await Promise.all([start(database.url), start(database.url)] as const);
    for (const each of pair) {
      await waitUntil('it listens', async () => (await each.metric('latchkey_listener_connected')) === 1);
    }
    await expectRevocationsToHold(...pair);
    // Both share the pooler's few server connections; were they there directly, this would show nothing.
    const [direct] = await database.query<{ clients: number }>(
      `SELECT count(*)::int AS clients FROM pg_stat_activity
         WHERE datname = current_database() AND application_name IN ('latchkey', 'latchkey-coherence')`,
    );
    expect(direct?.clients).toBeGreaterThan(0);
    expect(direct?.clients).toBeLessThanOrEqual(POOL_SIZE);
    expect(pair.every(({ sidecar }) => !sidecar.log.some((line) => String(line['message']).startsWith(DEAF)))).toBe(
      true,
    );
    for (const each of pair) each.close();
  });

  it('confirms revocations where nothing can LISTEN, by renewals alone, and warns once', async () => {
    const pair = await Promise.all([start(pooler.url), start(pooler.url)] as const);
    for (const { sidecar } of pair) {
      await waitUntil('it warns', () => sidecar.log.some((line) => String(line['message']).startsWith(DEAF)));
    }
    await expectRevocationsToHold(...pair);
    for (const each of pair) {
      expect(await each.metric('latchkey_listener_connected')).toBe(0);
      expect(each.sidecar.log.filter((line) => String(line['message']).startsWith(DEAF))).toHaveLength(1);
      each.close();
    }
  });
});
