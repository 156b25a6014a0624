// Fills the key cache of the built program and prints, as JSON, what that took. Run with --expose-gc; arguments: keys,
// keys an account, `scoped` or `unscoped`. Plain Node.js, so that nothing else is in memory.
//
// Every record has strings of its own, as rows from the database do: what is shared is shared by the program.
import { createHash, randomBytes } from 'node:crypto';
import { Registry } from 'prom-client';
import { ALL_PERMISSIONS } from '../../dist/domain/permissions.js';
import { keyHashFromBytes } from '../../dist/domain/raw-key.js';
import { setHeapFlags } from '../../dist/observability/heap-flags.js';
import { PrometheusMetrics } from '../../dist/observability/prometheus-metrics.js';
import { CachedKeyStore } from '../../dist/store/cached-key-store.js';

setHeapFlags();

const [count, perAccount] = process.argv.slice(2, 4).map(Number);
const scoped = process.argv[4] === 'scoped';
const collect = globalThis.gc;
if (collect === undefined) throw new Error('run with --expose-gc');

/** A UUID that follows from its name: made anew each time, so that this script remembers none. */
function uuidOf(name) {
  const hex = createHash('md5').update(name).digest('hex');
  const text = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  return Buffer.from(text).toString('latin1');
}

const accounts = Math.ceil(count / perAccount);
let next = 0;
function readNext() {
  const index = next++;
  return {
    id: uuidOf(`id-${index}`),
    accountId: uuidOf(`account-${index % accounts}`),
    workflowId: scoped ? uuidOf(`workflow-${index % accounts}`) : '',
    permissions: ALL_PERMISSIONS,
    appId: '',
    expiresAtMs: Number.POSITIVE_INFINITY,
    revoked: false,
  };
}

const store = new CachedKeyStore({
  reads: { read: () => ({ sent: false, value: Promise.resolve(readNext()) }) },
  lease: { held: () => 1, heldAt: () => 1, heldOnLoss: () => 1 },
  metrics: new PrometheusMetrics(new Registry(), { version: 'bench', node: process.version }),
  maxKeys: count,
});

function settled() {
  for (let i = 0; i < 4; i++) collect();
  return process.memoryUsage();
}

const before = settled();
let last = '';
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
