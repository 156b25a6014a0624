import { describe, expect, it } from 'vitest';
import { Permission } from '../../src/domain/permissions.js';
import { mintRawKey } from '../../src/domain/raw-key.js';
import type { Barrier } from '../../src/ports/barrier.js';
import { silentLogger } from '../../src/ports/logger.js';
import { AppKeyService } from '../../src/service/app-keys.js';
import { MemoryKeyRegistry } from '../../src/store/memory-key-registry.js';
import { FakeClock } from '../support/fakes/fake-clock.js';

const ACTOR = { name: 'service:test', origin: null };

/** The service on a registry in memory, and what was asked of its barrier. */
function setUp() {
  const asked: string[] = [];
  const barrier: Barrier = {
    async confirm({ committedAtMs }) {
      asked.push('confirm');
      return {
        sequence: 1n,
        committedAtMs,
        confirmedInMs: 1,
        sidecars: { acknowledged: 1, expired: 0 },
        slowestAckMs: 1,
      };
    },
    async settle() {
      asked.push('settle');
      return true;
    },
  };
  const registry = new MemoryKeyRegistry(new FakeClock());
  const service = new AppKeyService({ registry, barrier, logger: silentLogger, mintRawKey });
  const mint = (overlapMs = 0) =>
    service.mint({ appId: 'app', accountId: 'acme', workflowId: null, permissions: Permission.READ, overlapMs }, ACTOR);
  return { asked, service, mint };
}

describe('a key for an app', () => {
  it('waits as a creation does when it is the first', async () => {
    const { asked, mint } = setUp();
    await mint();
    expect(asked).toEqual(['settle']);
  });

  it.each([0, 60_000])(
    'is confirmed when it takes the place of another, with an overlap of %i ms',
    async (overlapMs) => {
      const { asked, mint } = setUp();
      await mint();
      await mint(overlapMs);
      expect(asked).toEqual(['settle', 'confirm']);
    },
  );

  it('is confirmed after a revocation that may never have been, though nothing was left to replace', async () => {
    const { asked, service, mint } = setUp();
    await mint();
    await service.revokeAll('app', ACTOR);
    await mint();
    expect(asked).toEqual(['settle', 'confirm', 'confirm']);
  });
});

it('a revocation of all keys of an app is confirmed, also when there was none', async () => {
  const { asked, service } = setUp();
  expect((await service.revokeAll('app', ACTOR)).revoked).toBe(0);
  expect(asked).toEqual(['confirm']);
});
