import { randomBytes, randomUUID } from 'node:crypto';
import { Registry } from 'prom-client';
import type { KeyRecord } from '../../src/domain/key-record.js';
import { ALL_PERMISSIONS } from '../../src/domain/permissions.js';
import { type KeyHash, keyHashFromBytes } from '../../src/domain/raw-key.js';
import { PrometheusMetrics } from '../../src/observability/prometheus-metrics.js';
import { CachedKeyStore } from '../../src/store/cached-key-store.js';

/**
 * Fills the key cache and prints, as JSON, what that took. Run with `--expose-gc`; arguments: keys, keys an account,
 * `scoped` or `unscoped`.
 *
 * Every record has strings of its own, as rows from the database do: what is shared is shared by the program.
 */
const [count, perAccount] = process.argv.slice(2, 4).map(Number) as [number, number];
const scoped = process.argv[4] === 'scoped';
const collect = (globalThis as { gc?: () => void }).gc;
if (collect === undefined) throw new Error('run with --expose-gc');

const metrics = new PrometheusMetrics(new Registry(), { version: 'bench', node: process.version });
const accounts = Array.from({ length: Math.ceil(count / perAccount) }, () => Buffer.from(randomUUID() + randomUUID()));
const copy = (bytes: Buffer, from: number, to: number): string => bytes.toString('latin1', from, to);
const recordOf = (index: number): KeyRecord => {
  const account = accounts[index % accounts.length] as Buffer;
  return {
    id: copy(Buffer.from(randomUUID()), 0, 36),
    accountId: copy(account, 0, 36),
    workflowId: scoped ? copy(account, 36, 72) : '',
    permissions: ALL_PERMISSIONS,
    appId: '',
    expiresAtMs: Number.POSITIVE_INFINITY,
    revoked: false,
  };
};
let next = 0;
const store = new CachedKeyStore({
  reads: { read: () => ({ sent: false, value: Promise.resolve(recordOf(next++)) }) },
  lease: { held: () => 1, heldAt: () => 1, heldOnLoss: () => 1 },
  metrics,
  maxKeys: count,
});

const settled = (): NodeJS.MemoryUsage => {
  for (let i = 0; i < 4; i++) collect();
  return process.memoryUsage();
};
const before = settled();
let last: KeyHash = keyHashFromBytes(randomBytes(32));
for (let i = 0; i < count; i++) {
  last = keyHashFromBytes(randomBytes(32));
  await store.find(last);
}
const after = settled();
if (store.find(last) instanceof Promise) throw new Error('the last key is not in memory');
process.stdout.write(
  JSON.stringify({
    bytesPerKey: (after.heapUsed + after.external - before.heapUsed - before.external) / count,
    residentMb: after.rss / 1e6,
  }),
);
