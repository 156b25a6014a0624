import type { KeyRecord } from '../../src/domain/key-record.js';
import type { KeyHash } from '../../src/domain/raw-key.js';
import { MemoryKeyRegistry } from '../../src/store/memory-key-registry.js';
import { MemorySource } from '../../src/store/memory-source.js';
import { FakeClock } from '../support/fakes/fake-clock.js';
import { keyRegistryContract } from './key-registry.contract.js';
import { keySourceContract } from './key-source.contract.js';
import { workflowSourceContract } from './workflow-source.contract.js';

keySourceContract('memory', async () => {
  const source = new MemorySource<KeyHash, KeyRecord>();
  return {
    source,
    put: async (keyHash, record) => source.set(keyHash, record),
    remove: async (keyHash) => source.delete(keyHash),
  };
});

workflowSourceContract('memory', async () => {
  const source = new MemorySource<string, string>();
  return { source, put: async (workflowId, accountId) => source.set(workflowId, accountId) };
});

keyRegistryContract('memory', async () => {
  const clock = new FakeClock();
  const registry = new MemoryKeyRegistry(clock, [
    { id: 'w1', accountId: 'acme', name: 'Beta' },
    { id: 'w2', accountId: 'acme', name: 'Alpha' },
    { id: 'w3', accountId: 'other', name: 'Gamma' },
  ]);
  return { registry, nowMs: async () => clock.wallMs() };
});
