import { randomBytes, randomUUID } from 'node:crypto';
import { permissionNames } from '../../src/domain/permissions.js';
import { keyHashToBytes } from '../../src/domain/raw-key.js';
import { silentLogger } from '../../src/ports/logger.js';
import { PostgresHistory } from '../../src/store/postgres/postgres-history.js';
import { PostgresKeyRegistry } from '../../src/store/postgres/postgres-key-registry.js';
import { PostgresKeySource } from '../../src/store/postgres/postgres-key-source.js';
import { PostgresUsageSink } from '../../src/store/postgres/postgres-usage-sink.js';
import { PostgresWorkflowSource } from '../../src/store/postgres/postgres-workflow-source.js';
import { testDatabase } from '../support/database.js';
import { historyContract } from './history.contract.js';
import { keyRegistryContract } from './key-registry.contract.js';
import { keySourceContract } from './key-source.contract.js';
import { usageSinkContract } from './usage-sink.contract.js';
import { workflowSourceContract } from './workflow-source.contract.js';

const db = await testDatabase();
const runner = db.runner();

async function empty(): Promise<void> {
  await db.query(
    'TRUNCATE latchkey.api_keys, latchkey.workflows, latchkey.key_usage, latchkey.key_audit, latchkey.sidecars',
  );
}

async function insertKey(revoked = false): Promise<string> {
  const id = randomUUID();
  await db.query(
    `INSERT INTO latchkey.api_keys (id, account_id, name, key_hash, key_prefix, permissions, revoked_at)
       VALUES ($1, 'acme', 'k', $2, 'nk_live_0000', '{read}', CASE WHEN $3 THEN now() END)`,
    [id, randomBytes(32), revoked],
  );
  return id;
}

keySourceContract('PostgreSQL', async () => {
  await empty();
  return {
    source: new PostgresKeySource(runner, silentLogger),
    put: async (keyHash, record) => {
      await db.query(
        `INSERT INTO latchkey.api_keys
             (id, account_id, name, key_hash, key_prefix, workflow_id, permissions, app_id, expires_at, revoked_at)
           VALUES ($1, $2, 'k', $3, 'nk_live_0000', nullif($4, ''), $5, nullif($6, ''),
                   to_timestamp($7::float8 / 1000), CASE WHEN $8 THEN now() END)
           ON CONFLICT (key_hash) DO UPDATE SET revoked_at = excluded.revoked_at`,
        [
          record.id,
          record.accountId,
          keyHashToBytes(keyHash),
          record.workflowId,
          permissionNames(record.permissions),
          record.appId,
          record.expiresAtMs,
          record.revoked,
        ],
      );
    },
    remove: async (keyHash) => {
      await db.query('DELETE FROM latchkey.api_keys WHERE key_hash = $1', [keyHashToBytes(keyHash)]);
    },
  };
});

workflowSourceContract('PostgreSQL', async () => {
  await empty();
  return {
    source: new PostgresWorkflowSource(runner, silentLogger),
    put: async (workflowId, accountId) => {
      await db.query("INSERT INTO latchkey.workflows VALUES ($1, $2, 'w')", [workflowId, accountId]);
    },
  };
});

keyRegistryContract('PostgreSQL', async () => {
  await empty();
  await db.query(
    `INSERT INTO latchkey.workflows VALUES ('w1', 'acme', 'Beta'), ('w2', 'acme', 'Alpha'), ('w3', 'other', 'Gamma')`,
  );
  return {
    registry: new PostgresKeyRegistry(runner),
    nowMs: async () =>
      (await db.query<{ ms: number }>('SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms'))[0]?.ms ??
      0,
  };
});

usageSinkContract('PostgreSQL', async () => {
  await empty();
  return {
    sink: new PostgresUsageSink(runner),
    keyId: await insertKey(),
    otherKeyId: await insertKey(),
    revokedKeyId: await insertKey(true),
    lastUsedMs: async (keyId) => {
      const [row] = await db.query<{ ms: number }>(
        'SELECT (extract(epoch FROM last_used_at) * 1000)::float8 AS ms FROM latchkey.key_usage WHERE key_id = $1',
        [keyId],
      );
      return row?.ms ?? null;
    },
  };
});

historyContract('PostgreSQL', async () => {
  await empty();
  return {
    history: new PostgresHistory(runner, silentLogger),
    change: async () => void (await insertKey()),
  };
});
