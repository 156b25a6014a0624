import { describe, expect, it } from 'vitest';
import {
  decide,
  KEY_ABSENT,
  KEY_MALFORMED,
  type KeyFinding,
  OWNER_NEEDED,
  OWNER_NOT_READ,
  OWNERSHIP_NOT_ENFORCED,
  type OwnerFinding,
  WORKFLOW_ABSENT,
} from '../../src/domain/decide.js';
import type { KeyRecord } from '../../src/domain/key-record.js';
import type { MethodEntry, MethodTarget } from '../../src/domain/method-entry.js';
import { Permission, type PermissionBit } from '../../src/domain/permissions.js';
import { Reason, type ReasonName, reasonName } from '../../src/domain/reason.js';
import { keyRecord, methodEntry } from '../support/fakes/builders.js';

const NOW = 1_000_000;

interface Situation {
  readonly key: KeyFinding;
  readonly owner: OwnerFinding;
  readonly method: MethodEntry | undefined;
  readonly workflowId: string;
}

/**
 * The decision table, read aloud: each rule is a sentence of its own that says when it holds, and the first that holds
 * wins. Slow, repetitive and without shortcuts, so that it shares no mistake with the code.
 */
const ORACLE: readonly (readonly [ReasonName, (situation: Situation) => boolean])[] = [
  ['KEY_MALFORMED', ({ key }) => key === KEY_MALFORMED],
  ['KEY_UNKNOWN', ({ key }) => key === KEY_ABSENT],
  ['KEY_REVOKED', ({ key }) => record(key).revoked === true],
  ['KEY_EXPIRED', ({ key }) => record(key).expiresAtMs <= NOW],
  ['METHOD_UNKNOWN', ({ method }) => method === undefined],
  ['METHOD_NOT_FOR_APPS', ({ key, method }) => record(key).appId.length > 0 && entry(method).apps === false],
  [
    'WORKFLOW_OUT_OF_SCOPE',
    ({ key, method, workflowId }) => {
      const scope = record(key).workflowId;
      if (scope.length === 0) return false;
      const namesAnother = workflowId.length > 0 && workflowId !== scope;
      return namesAnother || entry(method).target === 'account';
    },
  ],
  [
    'WORKFLOW_REQUIRED',
    ({ key, method, workflowId }) => {
      if (workflowId.length > 0) return false;
      if (entry(method).target === 'workflow') return true;
      return record(key).workflowId.length > 0 && entry(method).scopedWithoutWorkflow === false;
    },
  ],
  [
    'WORKFLOW_UNKNOWN',
    ({ key, owner, workflowId }) => {
      if (owner === OWNERSHIP_NOT_ENFORCED || workflowId.length === 0) return false;
      return owner === WORKFLOW_ABSENT || owner !== record(key).accountId;
    },
  ],
  [
    'PERMISSION_MISSING',
    ({ key, method }) =>
      ![1, 2, 4].some((bit) => bit === entry(method).permission && has(record(key).permissions, bit)),
  ],
  ['GRANTED', () => true],
];

const record = (key: KeyFinding): KeyRecord => key as KeyRecord;
const entry = (method: MethodEntry | undefined): MethodEntry => method as MethodEntry;
const has = (set: number, bit: number): boolean => Math.floor(set / bit) % 2 === 1;
const oracle = (situation: Situation): ReasonName =>
  (ORACLE.find(([, holds]) => holds(situation)) as (typeof ORACLE)[number])[0];

const EXPIRIES = [Number.POSITIVE_INFINITY, NOW + 1, NOW, NOW - 1];
const METHODS: readonly (MethodEntry | undefined)[] = [
  undefined,
  ...product(['workflow', 'optional', 'account'] as readonly MethodTarget[], [true, false], [true, false], [
    Permission.READ,
    Permission.EXECUTE,
    Permission.WRITE,
  ] as readonly PermissionBit[]).map(([target, apps, scopedWithoutWorkflow, permission]) =>
    methodEntry({ target, apps, scopedWithoutWorkflow, permission }),
  ),
];
const OWNERS: readonly OwnerFinding[] = ['account-a', 'account-b', WORKFLOW_ABSENT, OWNERSHIP_NOT_ENFORCED];
const KEYS: readonly KeyFinding[] = [
  KEY_MALFORMED,
  KEY_ABSENT,
  ...product(EXPIRIES, [true, false], ['', 'w-1'], ['', 'app-1'], [0, 1, 2, 3, 4, 5, 6, 7]).map(
    ([expiresAtMs, revoked, workflowId, appId, permissions]) =>
      keyRecord({ expiresAtMs, revoked, workflowId, appId, permissions }),
  ),
];

function product<A, B, C, D, E = undefined>(
  as: readonly A[],
  bs: readonly B[],
  cs: readonly C[],
  ds: readonly D[],
  es: readonly E[] = [undefined as E],
): [A, B, C, D, E][] {
  return as.flatMap((a) =>
    bs.flatMap((b) => cs.flatMap((c) => ds.flatMap((d) => es.map((e): [A, B, C, D, E] => [a, b, c, d, e])))),
  );
}

describe('decide', () => {
  it('agrees with the decision table in every combination of key, method, workflow and owner', () => {
    const seen = new Set<ReasonName>();
    let compared = 0;
    for (const key of KEYS) {
      for (const method of METHODS) {
        for (const workflowId of ['', 'w-1', 'w-2']) {
          for (const owner of OWNERS) {
            const expected = oracle({ key, owner, method, workflowId });
            const reason = decide(key, owner, method, workflowId, NOW);
            seen.add(expected);
            compared++;
            if (reason === OWNER_NEEDED || reasonName(reason) !== expected) {
              expect({ reason, key, method, workflowId, owner }).toEqual({
                reason: Reason[expected],
                key,
                method,
                workflowId,
                owner,
              });
            }
          }
        }
      }
    }
    expect(compared).toBe(KEYS.length * METHODS.length * 3 * OWNERS.length);
    expect([...seen].sort()).toEqual(Object.keys(Reason).sort());
  });

  it('asks for the owner exactly where rule 9 is reached, and never answers before it is known', () => {
    for (const key of KEYS) {
      for (const method of METHODS) {
        for (const workflowId of ['', 'w-1', 'w-2']) {
          const unread = decide(key, OWNER_NOT_READ, method, workflowId, NOW);
          const whenAbsent = decide(key, WORKFLOW_ABSENT, method, workflowId, NOW);
          const expected = whenAbsent === Reason.WORKFLOW_UNKNOWN ? OWNER_NEEDED : whenAbsent;
          if (unread !== expected)
            expect({ unread, key, method, workflowId }).toEqual({ unread: expected, key, method, workflowId });
        }
      }
    }
  });

  it.each([
    ['a clock that is not a number', Number.NaN, NOW],
    ['an expiry that is not a number', NOW, Number.NaN],
  ])('denies with %s', (_what, now, expiresAtMs) => {
    expect(decide(keyRecord({ expiresAtMs }), 'account-a', methodEntry(), 'w-1', now)).toBe(Reason.KEY_EXPIRED);
  });

  it.each([
    ['a look-alike letter', 'аccount-a'],
    ['another case', 'Account-a'],
    ['a trailing space', 'account-a '],
    ['a combining accent', 'account-a\u0301'],
  ])('compares account ids exactly: %s is another account', (_what, owner) => {
    expect(decide(keyRecord(), owner, methodEntry(), 'w-1', NOW)).toBe(Reason.WORKFLOW_UNKNOWN);
  });
});
