import { randomUUID } from 'node:crypto';
import { Registry } from 'prom-client';
import { LeaseDriver } from '../../src/coherence/lease-driver.js';
import { defaultCatalogue } from '../../src/domain/default-catalogue.js';
import type { Position } from '../../src/domain/history-event.js';
import type { KeyRecord } from '../../src/domain/key-record.js';
import { ALL_PERMISSIONS } from '../../src/domain/permissions.js';
import { hashRawKey, type KeyHash, mintRawKey } from '../../src/domain/raw-key.js';
import { PrometheusMetrics } from '../../src/observability/prometheus-metrics.js';
import { systemClock } from '../../src/observability/system-clock.js';
import { systemTimers } from '../../src/observability/system-timers.js';
import type { History } from '../../src/ports/history.js';
import type { Lease } from '../../src/ports/lease.js';
import { silentLogger } from '../../src/ports/logger.js';
import type { Metrics } from '../../src/ports/metrics.js';
import type { SingleReads } from '../../src/ports/single-reads.js';
import { createAuthorizer } from '../../src/service/authorize.js';
import type { Authorizer } from '../../src/service/authorizer.js';
import { CoalescingUsageRecorder } from '../../src/service/usage-recorder.js';
import { CachedKeyStore } from '../../src/store/cached-key-store.js';
import { CachedWorkflowStore } from '../../src/store/cached-workflow-store.js';

/** A question, its strings made as a decoder makes them: flat, and none shared with what is remembered. */
export interface FixtureQuestion {
  readonly rawKey: string;
  readonly workflowId: string;
}

/** The decision path of the program with everything in memory: real stores, metrics, usage, clocks and lease rules. */
export interface DecisionFixture {
  readonly authorizer: Authorizer;
  readonly questions: readonly FixtureQuestion[];
}

/** Fills the caches with `count` keys in a tenth as many accounts, each with a workflow, by asking once for each. */
export async function createDecisionFixture(count: number): Promise<DecisionFixture> {
  const metrics = new PrometheusMetrics(new Registry(), { version: 'bench', node: process.version });
  const timers = { after: () => () => {} };
  const lease = await holdLease(metrics);
  const records = new Map<KeyHash, KeyRecord>();
  const owners = new Map<string, string>();
  const accounts = Array.from({ length: Math.ceil(count / 10) }, () => ({
    id: randomUUID(),
    workflowId: randomUUID(),
  }));
  for (const { id, workflowId } of accounts) owners.set(workflowId, id);
  const questions = Array.from({ length: count }, (_, index) => {
    const account = accounts[index % accounts.length] as (typeof accounts)[number];
    const rawKey = flat(mintRawKey());
    records.set(hashRawKey(rawKey), {
      id: randomUUID(),
      accountId: account.id,
      workflowId: '',
      permissions: ALL_PERMISSIONS,
      appId: '',
      expiresAtMs: Number.POSITIVE_INFINITY,
      revoked: false,
    });
    return { rawKey, workflowId: flat(account.workflowId) };
  });
  const authorizer = createAuthorizer({
    keys: new CachedKeyStore({ reads: readsOf(records), lease, metrics, maxKeys: count }),
    workflows: new CachedWorkflowStore({ reads: readsOf(owners), lease, metrics, maxWorkflows: count }),
    lease,
    catalogue: defaultCatalogue(),
    clock: systemClock,
    metrics,
    usage: new CoalescingUsageRecorder({
      sink: { write: async () => {} },
      clock: systemClock,
      timers,
      metrics,
      logger: silentLogger,
    }),
    enforceOwnership: true,
    requiredTags: null,
  });
  for (const { rawKey, workflowId } of questions) {
    await authorizer.authorize('authorize', rawKey, workflowId, 'nodes.getOutput');
  }
  return { authorizer, questions };
}

/** A flat copy: what a decoder makes of bytes, where `+` would leave a rope. */
export function flat(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** A source that has every answer already. */
export function readsOf<K, V>(values: ReadonlyMap<K, V>): SingleReads<K, V> {
  return { read: (key) => ({ sent: false, value: Promise.resolve(values.get(key) ?? null) }) };
}

/** A real lease driver over a history in which nothing happens, once its first lease is held. */
export async function holdLease(metrics: Metrics): Promise<Lease> {
  const head: Position = { sequence: 1n, token: randomUUID() };
  const history: History = {
    register: async () => {},
    renew: async () => true,
    readHistory: async () => ({
      head,
      tokenAtPosition: head.token,
      lineage: null,
      events: [],
      overLimit: false,
      databaseNowMs: 0,
    }),
    acknowledge: async () => true,
    deregister: async () => {},
    readBarrier: async () => ({ head, sidecars: [] }),
    forget: async () => {},
  };
  const driver = new LeaseDriver({
    // Longer than any run, so that no renewal falls into a measurement.
    options: { leaseMs: 3_600_000, lossMs: 0, nextId: randomUUID, random: Math.random, readLimit: 1 },
    history,
    caches: { apply() {}, forgetAll() {} },
    clock: systemClock,
    timers: systemTimers,
    metrics,
    logger: silentLogger,
  });
  driver.start();
  await driver.leased;
  return driver;
}
