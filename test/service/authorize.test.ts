import { describe, expect, it } from 'vitest';
import { defaultCatalogue } from '../../src/domain/default-catalogue.js';
import { Failure } from '../../src/domain/failure.js';
import type { KeyRecord } from '../../src/domain/key-record.js';
import { KeyTags } from '../../src/domain/key-tag.js';
import { mintRawKey } from '../../src/domain/raw-key.js';
import { Reason } from '../../src/domain/reason.js';
import type { KeyStore } from '../../src/ports/key-store.js';
import type { WorkflowStore } from '../../src/ports/workflow-store.js';
import { createAuthorizer } from '../../src/service/authorize.js';
import type { Verdict } from '../../src/service/authorizer.js';
import { DECISION_CASES, recordOfCaseKey } from '../support/decision-cases.js';
import { keyHashOf, keyRecord, rawKeyOf } from '../support/fakes/builders.js';
import { FakeClock } from '../support/fakes/fake-clock.js';
import { FakeLease } from '../support/fakes/fake-lease.js';
import { MemoryStack } from '../support/fakes/memory-stack.js';
import { RecordingMetrics } from '../support/fakes/recording-metrics.js';
import { MALFORMED_RAW_KEYS } from '../support/malformed-raw-keys.js';

const catalogue = defaultCatalogue();

class RecordingUsage {
  readonly uses: (readonly [keyId: string, atMs: number])[] = [];
  record(keyId: string, atMs: number): void {
    this.uses.push([keyId, atMs]);
  }
}

/** An authorizer over stores that answer as told. */
function authorizerOver(parts: {
  readonly find?: KeyStore['find'];
  readonly recall?: NonNullable<KeyStore['recall']>;
  readonly ownerOf?: WorkflowStore['ownerOf'];
  readonly enforceOwnership?: boolean;
  readonly requiredTags?: KeyTags;
}) {
  const clock = new FakeClock();
  const lease = new FakeLease().grant();
  const metrics = new RecordingMetrics();
  const usage = new RecordingUsage();
  const authorizer = createAuthorizer({
    keys: { find: parts.find ?? (() => keyRecord()), ...(parts.recall === undefined ? {} : { recall: parts.recall }) },
    workflows: { ownerOf: parts.ownerOf ?? (() => 'account-a') },
    lease,
    catalogue,
    clock,
    metrics,
    usage,
    enforceOwnership: parts.enforceOwnership ?? true,
    requiredTags: parts.requiredTags ?? null,
  });
  return { clock, metrics, usage, authorizer };
}

describe('the authorizer over the stack of stores', () => {
  const stack = new MemoryStack();
  const usage = new RecordingUsage();
  const authorizer = createAuthorizer({
    keys: stack.keys,
    workflows: stack.workflows,
    lease: stack.lease,
    catalogue,
    clock: stack.clock,
    metrics: stack.metrics,
    usage,
    enforceOwnership: true,
    requiredTags: null,
  });
  const rawKeys = new Map<string, string>([
    ['absent', rawKeyOf(0xffff)],
    ['malformed', 'nk_live_short'],
  ]);
  Object.entries(DECISION_CASES.keys).forEach(([name, key], index) => {
    rawKeys.set(name, rawKeyOf(index));
    stack.keySource.set(keyHashOf(index), recordOfCaseKey(key, `id-${name}`, stack.clock.wallMs()));
  });
  for (const [id, owner] of Object.entries(DECISION_CASES.workflows)) stack.workflowSource.set(id, owner);

  it.each(DECISION_CASES.cases)(
    'from the database and from memory: $name',
    async ({ key, workflowId, method, reason }) => {
      const rawKey = rawKeys.get(key) as string;
      const first = await authorizer.authorize('authorize', rawKey, workflowId, method);
      const again = authorizer.authorize('authorize', rawKey, workflowId, method);
      expect(again).not.toBeInstanceOf(Promise);
      expect(first.reason).toBe(Reason[reason]);
      expect(again).toEqual(first);
      expect(first.key?.id ?? null).toBe(key === 'absent' || key === 'malformed' ? null : `id-${key}`);
      expect(first.method).toBe(catalogue.find(method));
    },
  );

  it.each(MALFORMED_RAW_KEYS)('answers a key that is $name without a look-up', ({ value }) => {
    const before = stack.metrics.count('cacheMiss') + stack.metrics.count('cacheHit');
    expect(authorizer.authorize('authorize', value, 'w', 'nodes.list')).toEqual({
      reason: Reason.KEY_MALFORMED,
      key: null,
      method: catalogue.find('nodes.list'),
    });
    expect(stack.metrics.count('cacheMiss') + stack.metrics.count('cacheHit')).toBe(before);
  });
});

describe('the authorizer', () => {
  it.each([
    ['at once', <T>(value: T): T => value],
    ['later', <T>(value: T): Promise<T> => Promise.resolve(value)],
  ])('decides the same whether stores answer %s', async (_when, answer) => {
    const { authorizer } = authorizerOver({
      find: (): ReturnType<KeyStore['find']> => answer(keyRecord()) as KeyRecord,
      ownerOf: (): ReturnType<WorkflowStore['ownerOf']> => answer('account-b') as string,
    });
    const verdict = await authorizer.authorize('batch', rawKeyOf(1), 'w', 'nodes.list');
    expect(verdict.reason).toBe(Reason.WORKFLOW_UNKNOWN);
  });

  it('counts each decision with its surface, reason and duration, the wait for stores included', async () => {
    const { authorizer, metrics, clock } = authorizerOver({
      find: async () => {
        clock.advance(250);
        return null;
      },
    });
    await authorizer.authorize('ext_authz', rawKeyOf(1), 'w', 'nodes.list');
    expect(metrics.of('decision')).toEqual([['ext_authz', Reason.KEY_UNKNOWN, 0.25]]);
  });

  it('notes the use of a key when it is granted, and of no other', async () => {
    const { authorizer, usage, clock } = authorizerOver({});
    await authorizer.authorize('authorize', rawKeyOf(1), 'w', 'no.such');
    expect(usage.uses).toEqual([]);
    await authorizer.authorize('authorize', rawKeyOf(1), 'w', 'nodes.list');
    expect(usage.uses).toEqual([[keyRecord().id, clock.wallMs()]]);
  });

  it('takes the time after the wait: a key that expires meanwhile is expired', async () => {
    const { authorizer, clock } = authorizerOver({
      find: () => keyRecord({ expiresAtMs: clock.wallMs() + 10 }),
      ownerOf: async () => {
        clock.advance(10);
        return 'account-a';
      },
    });
    expect(await authorizer.authorize('authorize', rawKeyOf(1), 'w', 'nodes.list')).toMatchObject({
      reason: Reason.KEY_EXPIRED,
    });
  });

  it('denies a key that had expired before it was looked up, where no owner has to be', async () => {
    const { authorizer, clock } = authorizerOver({
      find: async () => keyRecord({ expiresAtMs: clock.wallMs() }),
    });
    expect(await authorizer.authorize('authorize', rawKeyOf(1), '', 'workflows.list')).toMatchObject({
      reason: Reason.KEY_EXPIRED,
    });
  });

  it('looks no owner up when another rule decides', async () => {
    const { authorizer } = authorizerOver({
      find: () => keyRecord({ revoked: true }),
      ownerOf: () => {
        throw new Error('asked for the owner');
      },
    });
    expect(await authorizer.authorize('authorize', rawKeyOf(1), 'w', 'nodes.list')).toMatchObject({
      reason: Reason.KEY_REVOKED,
    });
  });

  it('looks no owner up when ownership is not enforced', async () => {
    const { authorizer } = authorizerOver({
      enforceOwnership: false,
      ownerOf: () => {
        throw new Error('asked for the owner');
      },
    });
    expect(await authorizer.authorize('authorize', rawKeyOf(1), 'elsewhere', 'nodes.list')).toMatchObject({
      reason: Reason.GRANTED,
    });
  });

  const overloaded = new Failure('overloaded', 'Too many.');
  it.each<[string, Parameters<typeof authorizerOver>[0]]>([
    [
      'the key store throws',
      {
        find: () => {
          throw overloaded;
        },
      },
    ],
    ['the key store rejects', { find: () => Promise.reject(overloaded) }],
    [
      'the workflow store throws',
      {
        ownerOf: () => {
          throw overloaded;
        },
      },
    ],
    ['the workflow store rejects', { ownerOf: () => Promise.reject(overloaded) }],
    [
      'the workflow store rejects after a wait for the key',
      { find: async () => keyRecord(), ownerOf: () => Promise.reject(overloaded) },
    ],
  ])('gives no decision and counts one undecided when %s', async (_what, parts) => {
    const { authorizer, metrics, usage } = authorizerOver(parts);
    const call = async (): Promise<Verdict> => authorizer.authorize('stream', rawKeyOf(1), 'w', 'nodes.list');
    await expect(call()).rejects.toBe(overloaded);
    expect(metrics.of('undecided')).toEqual([['stream', 'overloaded']]);
    expect(metrics.count('decision')).toBe(0);
    expect(usage.uses).toEqual([]);
  });

  it('turns an unexpected error into a bland failure', async () => {
    const { authorizer } = authorizerOver({
      find: () => Promise.reject(new Error('connect ECONNREFUSED db.internal')),
    });
    const failure = await Promise.resolve(authorizer.authorize('authorize', rawKeyOf(1), 'w', 'nodes.list')).catch(
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(Failure);
    expect((failure as Failure).kind).toBe('unavailable');
    expect((failure as Failure).message).not.toContain('db.internal');
  });
});

describe('the authorizer with required tags', () => {
  const tags = new KeyTags(['s'.repeat(32)]);

  it('refuses a key without a valid tag as unknown, without a look-up', async () => {
    const { authorizer } = authorizerOver({
      requiredTags: tags,
      recall: () => undefined,
      find: () => {
        throw new Error('looked up');
      },
    });
    const verdict = await authorizer.authorize('authorize', mintRawKey(), 'w', 'nodes.list');
    expect(verdict).toMatchObject({ reason: Reason.KEY_UNKNOWN, key: null });
  });

  it('looks a tagged key up', async () => {
    const { authorizer } = authorizerOver({ requiredTags: tags, recall: () => undefined });
    expect(await authorizer.authorize('authorize', tags.mint(), 'w', 'nodes.list')).toMatchObject({
      reason: Reason.GRANTED,
    });
  });

  it('asks memory first, so that a hit is spared the tag', async () => {
    const { authorizer } = authorizerOver({ requiredTags: tags, recall: () => keyRecord({ revoked: true }) });
    expect(await authorizer.authorize('authorize', mintRawKey(), 'w', 'nodes.list')).toMatchObject({
      reason: Reason.KEY_REVOKED,
    });
  });
});
