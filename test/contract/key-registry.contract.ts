import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { Failure, type FailureKind } from '../../src/domain/failure.js';
import { ALL_PERMISSIONS, Permission } from '../../src/domain/permissions.js';
import { hashRawKey, keyPrefixOf, mintRawKey } from '../../src/domain/raw-key.js';
import type {
  Actor,
  KeyDetails,
  KeyListQuery,
  KeyRegistry,
  NewKey,
  ReplacementKey,
} from '../../src/ports/key-registry.js';

/** A registry over the workflows `w1` and `w2` ("Beta" and "Alpha") of `acme` and `w3` of `other`. */
export interface KeyRegistryFixture {
  readonly registry: KeyRegistry;
  /** The time of the registry's clock, ms since the Unix epoch. */
  nowMs(): Promise<number>;
}

const ACTOR: Actor = { name: 'account:acme', origin: '127.0.0.1' };
const HOUR_MS = 3_600_000;

function newKey(given: Partial<NewKey> = {}): NewKey {
  const rawKey = mintRawKey();
  return {
    accountId: 'acme',
    name: 'a key',
    keyHash: hashRawKey(rawKey),
    keyPrefix: keyPrefixOf(rawKey),
    workflowId: null,
    permissions: ALL_PERMISSIONS,
    expiresAtMs: null,
    ...given,
  };
}

function replacement(): ReplacementKey {
  const { keyHash, keyPrefix } = newKey();
  return { keyHash, keyPrefix };
}

async function kindOf(promise: Promise<unknown>): Promise<FailureKind | 'resolved'> {
  try {
    await promise;
    return 'resolved';
  } catch (error) {
    if (error instanceof Failure) return error.kind;
    throw error;
  }
}

/** What every `KeyRegistry` promises. */
export function keyRegistryContract(name: string, make: () => Promise<KeyRegistryFixture>): void {
  describe(`${name} as a key registry`, () => {
    let registry: KeyRegistry;
    let fixture: KeyRegistryFixture;
    beforeEach(async () => {
      fixture = await make();
      registry = fixture.registry;
    });

    const create = (given: Partial<NewKey> = {}) => registry.create(newKey(given), ACTOR, 100);
    const list = async (given: Partial<KeyListQuery> = {}) =>
      registry.list({ accountId: 'acme', includeRevoked: true, limit: 100, after: null, ...given });
    const mint = (appId: string, overlapMs: number, given: Partial<NewKey> = {}) =>
      registry.mintAppKey(newKey(given), appId, overlapMs, ACTOR);

    describe('create', () => {
      it('stores what was asked, and lists it', async () => {
        const key = newKey({
          name: 'Nächtlich 😀',
          workflowId: 'w1',
          permissions: Permission.READ | Permission.WRITE,
          expiresAtMs: (await fixture.nowMs()) + HOUR_MS,
        });
        const { keyHash: _, ...shown } = key;
        const created = await registry.create(key, ACTOR, 100);
        expect(created).toMatchObject({
          ...shown,
          expiresAtMs: Math.floor(shown.expiresAtMs ?? 0),
          appId: null,
          lastUsedAtMs: null,
          revokedAtMs: null,
        });
        expect((await list()).keys).toEqual([created]);
      });

      it.each([
        ["another account's workflow", 'w3'],
        ['no workflow at all', 'nope'],
        ['a workflow with a NUL', 'w1\0'],
        ['a lone surrogate', '\ud800'],
      ])('refuses %s as if it did not exist', async (_, workflowId) => {
        expect(await kindOf(create({ workflowId }))).toBe('not-found');
        expect((await list()).keys).toEqual([]);
      });

      it('stops at the limit; revoked keys, expired keys and app keys do not count', async () => {
        const [first] = [await create(), await create()];
        expect(await kindOf(registry.create(newKey(), ACTOR, 2))).toBe('limit-reached');
        await registry.revoke(first.id, 'acme', ACTOR);
        await create({ expiresAtMs: (await fixture.nowMs()) - 1 });
        await mint('app', 0);
        expect(await kindOf(registry.create(newKey(), ACTOR, 2))).toBe('resolved');
      });

      it('keeps to the limit when many are created at once', async () => {
        const results = await Promise.all(Array.from({ length: 6 }, () => kindOf(registry.create(newKey(), ACTOR, 3))));
        expect(results.filter((result) => result === 'resolved')).toHaveLength(3);
        expect((await list()).keys).toHaveLength(3);
      });

      it('refuses a hash that exists', async () => {
        const key = newKey();
        await registry.create(key, ACTOR, 100);
        expect(await kindOf(registry.create({ ...newKey(), keyHash: key.keyHash }, ACTOR, 100))).toBe('conflict');
      });
    });

    describe('list', () => {
      it('gives pages, newest first, without gap or repetition', async () => {
        const made: string[] = [];
        for (let count = 0; count < 5; count++) made.unshift((await create()).id);
        const seen: string[] = [];
        let after: KeyListQuery['after'] = null;
        for (let page = 0; page < 10; page++) {
          const { keys, nextAfter } = await list({ limit: 2, after });
          seen.push(...keys.map((key) => key.id));
          expect(keys.length).toBe(page < 2 ? 2 : 1);
          after = nextAfter;
          if (after === null) break;
        }
        expect(seen).toEqual(made);
      });

      it('leaves out revoked keys on demand, app keys and other accounts always', async () => {
        const [kept, revoked] = [await create(), await create()];
        await create({ accountId: 'other' });
        await mint('app', 0);
        await registry.revoke(revoked.id, 'acme', ACTOR);
        expect((await list()).keys.map((key) => key.id)).toEqual([revoked.id, kept.id]);
        expect((await list({ includeRevoked: false })).keys.map((key) => key.id)).toEqual([kept.id]);
      });
    });

    describe('revoke', () => {
      it('revokes once, and says so when repeated, with the first time', async () => {
        const { id } = await create();
        const first = await registry.revoke(id, 'acme', ACTOR);
        expect(first).toMatchObject({ alreadyRevoked: false, key: { id } });
        expect(first.key.revokedAtMs).not.toBeNull();
        const again = await registry.revoke(id, 'acme', ACTOR);
        expect(again).toMatchObject({ alreadyRevoked: true, key: first.key });
      });

      it('gives exactly one of many the honour', async () => {
        const { id } = await create();
        const all = await Promise.all(Array.from({ length: 5 }, () => registry.revoke(id, 'acme', ACTOR)));
        expect(all.filter((one) => !one.alreadyRevoked)).toHaveLength(1);
      });

      it.each(['not-a-uuid', "' OR 1=1 --", '', '\0', randomUUID()])('finds no key %j', async (id) => {
        expect(await kindOf(registry.revoke(id, 'acme', ACTOR))).toBe('not-found');
        expect(await kindOf(registry.revoke(id, null, ACTOR))).toBe('not-found');
      });

      it("does not find another account's key, nor an app key; an operator finds both", async () => {
        const { id } = await create({ accountId: 'other' });
        const { keyId } = await mint('app', 0);
        for (const hidden of [id, keyId]) {
          expect(await kindOf(registry.revoke(hidden, 'acme', ACTOR))).toBe('not-found');
          expect((await registry.revoke(hidden, null, ACTOR)).alreadyRevoked).toBe(false);
        }
      });
    });

    describe('rotate', () => {
      const rotate = (id: string, overlapMs: number, maxActive = 100, accountId: string | null = 'acme') =>
        registry.rotate(id, accountId, replacement(), overlapMs, ACTOR, maxActive);

      it('replaces a key by one with the same name, scope, permissions and expiry; the old one dies at once', async () => {
        const old = await create({
          workflowId: 'w1',
          permissions: Permission.READ,
          expiresAtMs: Math.floor(await fixture.nowMs()) + HOUR_MS,
        });
        const rotated = await rotate(old.id, 0);
        const { id, keyPrefix, createdAtMs, ...same } = rotated.replacement;
        expect(same).toEqual(withoutIdentity(old));
        expect(id).not.toBe(old.id);
        expect(keyPrefix).not.toBe(old.keyPrefix);
        expect(createdAtMs).toBeGreaterThanOrEqual(old.createdAtMs);
        expect(rotated.old.revokedAtMs).not.toBeNull();
      });

      it('lets the old key live for the overlap', async () => {
        const old = await create();
        const beforeMs = await fixture.nowMs();
        const rotated = await rotate(old.id, HOUR_MS);
        const afterMs = await fixture.nowMs();
        expect(rotated.replacement.expiresAtMs).toBeNull();
        expect(rotated.old.revokedAtMs).toBeNull();
        expect(rotated.old.expiresAtMs).toBeGreaterThanOrEqual(Math.floor(beforeMs) + HOUR_MS);
        expect(rotated.old.expiresAtMs).toBeLessThanOrEqual(afterMs + HOUR_MS);
      });

      it('never lets the old key live longer than it would have', async () => {
        const old = await create({ expiresAtMs: Math.floor(await fixture.nowMs()) + HOUR_MS });
        expect((await rotate(old.id, 24 * HOUR_MS)).old.expiresAtMs).toBe(old.expiresAtMs);
      });

      it('gives a further replacement the expiry from before the overlap', async () => {
        const old = await create({ expiresAtMs: null });
        await rotate(old.id, HOUR_MS);
        expect((await rotate(old.id, 2 * HOUR_MS)).replacement.expiresAtMs).toBeNull();
        const atMs = old.createdAtMs + 10 * HOUR_MS;
        const ending = await create({ expiresAtMs: atMs });
        await rotate(ending.id, HOUR_MS);
        expect((await rotate(ending.id, 0)).replacement.expiresAtMs).toBe(atMs);
      });

      it('refuses a revoked and an expired key', async () => {
        const revoked = await create();
        await registry.revoke(revoked.id, 'acme', ACTOR);
        const expired = await create({ expiresAtMs: (await fixture.nowMs()) - 1 });
        expect(await kindOf(rotate(revoked.id, 0))).toBe('conflict');
        expect(await kindOf(rotate(expired.id, 0))).toBe('conflict');
      });

      it('keeps to the limit: at it, only a rotation without overlap has room', async () => {
        const [old] = [await create(), await create()];
        expect(await kindOf(rotate(old.id, HOUR_MS, 2))).toBe('limit-reached');
        expect(await kindOf(rotate(old.id, 0, 2))).toBe('resolved');
      });

      it("does not find another account's key or an app key", async () => {
        const { id } = await create({ accountId: 'other' });
        const { keyId } = await mint('app', 0);
        for (const hidden of [id, keyId, 'not-a-uuid']) expect(await kindOf(rotate(hidden, 0))).toBe('not-found');
      });

      it('lets an operator rotate an app key, which stays of the app', async () => {
        const { keyId } = await mint('app', 0);
        expect((await rotate(keyId, 0, 0, null)).replacement.appId).toBe('app');
      });
    });

    describe('app keys', () => {
      it('mints again by killing the older key in the same step', async () => {
        const first = await mint('app', 0);
        const second = await mint('app', 0);
        expect([first.replaced, second.replaced]).toEqual([0, 1]);
        expect([first.first, second.first]).toEqual([true, false]);
        expect((await registry.revoke(first.keyId, null, ACTOR)).alreadyRevoked).toBe(true);
        expect((await registry.revoke(second.keyId, null, ACTOR)).alreadyRevoked).toBe(false);
      });

      it('is never the first again, once the app had a key', async () => {
        await mint('app', 0);
        await registry.revokeAppKeys('app', ACTOR);
        expect(await mint('app', 0)).toMatchObject({ replaced: 0, first: false });
      });

      it('kills an older key that has expired, too: by another clock it may not have', async () => {
        const first = await mint('app', 0, { expiresAtMs: 1 });
        await mint('app', 0);
        expect((await registry.revoke(first.keyId, null, ACTOR)).alreadyRevoked).toBe(true);
      });

      it('gives the older key an end with an overlap', async () => {
        await mint('app', 0);
        expect((await mint('app', HOUR_MS)).replaced).toBe(1);
        expect((await registry.revokeAppKeys('app', ACTOR)).revoked).toBe(2);
      });

      it("refuses a workflow that is not the account's", async () => {
        expect(await kindOf(mint('app', 0, { workflowId: 'w3' }))).toBe('not-found');
      });

      it('revokes all of an app, and nothing when repeated or unknown', async () => {
        await mint('app', 0);
        await mint('app', HOUR_MS);
        const kept = await mint('app2', 0);
        expect((await registry.revokeAppKeys('app', ACTOR)).revoked).toBe(2);
        expect((await registry.revokeAppKeys('app', ACTOR)).revoked).toBe(0);
        expect((await registry.revokeAppKeys('unknown', ACTOR)).revoked).toBe(0);
        expect((await registry.revoke(kept.keyId, null, ACTOR)).alreadyRevoked).toBe(false);
      });

      it('leaves one live key when an app is published many times at once', async () => {
        await Promise.all(Array.from({ length: 5 }, () => mint('app', 0)));
        expect((await registry.revokeAppKeys('app', ACTOR)).revoked).toBe(1);
      });
    });

    describe('history', () => {
      it('tells who did what to a key, oldest first', async () => {
        const { id } = await create();
        const { replacement: next } = await registry.rotate(id, 'acme', replacement(), HOUR_MS, ACTOR, 100);
        await registry.revoke(id, null, { name: 'cli:root', origin: null });
        const trail = await registry.history(id);
        expect(trail.map(({ action, actor, origin }) => [action, actor, origin])).toEqual([
          ['created', 'account:acme', '127.0.0.1'],
          ['rotated', 'account:acme', '127.0.0.1'],
          ['revoked', 'cli:root', null],
        ]);
        expect(trail[1]?.details).toMatchObject({ replacedBy: next.id, overlapMs: HOUR_MS });
        await registry.revoke(next.id, 'acme', ACTOR);
        expect((await registry.history(next.id)).map(({ action, actor, origin }) => [action, actor, origin])).toEqual([
          ['created', 'account:acme', '127.0.0.1'],
          ['revoked', 'account:acme', '127.0.0.1'],
        ]);
      });

      it.each(['not-a-uuid', randomUUID()])('finds no key %s', async (id) => {
        expect(await kindOf(registry.history(id))).toBe('not-found');
      });
    });

    it('lists the workflows of an account by name', async () => {
      expect(await registry.workflows('acme')).toEqual([
        { id: 'w2', name: 'Alpha' },
        { id: 'w1', name: 'Beta' },
      ]);
      expect(await registry.workflows('nobody')).toEqual([]);
    });
  });
}

/** What a rotated key has in common with its predecessor. */
function withoutIdentity({ id: _id, keyPrefix: _prefix, createdAtMs: _created, ...same }: KeyDetails) {
  return same;
}
