import { readFileSync } from 'node:fs';
import type { KeyRecord } from '../../src/domain/key-record.js';
import { type PermissionName, permissionSet } from '../../src/domain/permissions.js';
import type { ReasonName } from '../../src/domain/reason.js';

/** A key of the cases. `expires`: relative to the moment of the question. */
export interface CaseKey {
  readonly accountId: string;
  /** `''`: all of the account's. */
  readonly workflowId: string;
  readonly permissions: readonly PermissionName[];
  /** `''`: a user key. */
  readonly appId: string;
  readonly expires: 'never' | 'past' | 'future';
  readonly revoked: boolean;
}

/** One question and its answer. `key` is the name of a {@link CaseKey}, or says that there is none. */
export interface DecisionCase {
  readonly name: string;
  readonly key: string | 'absent' | 'malformed';
  readonly method: string;
  readonly workflowId: string;
  readonly reason: ReasonName;
}

/**
 * `test/cases/decision-cases.json`: a small world and questions about it, the same for every surface. A test puts the
 * workflows and keys into its store, remembers the raw key of each, and asks every case.
 */
export interface DecisionCases {
  /** Owner of each workflow that exists. */
  readonly workflows: Readonly<Record<string, string>>;
  readonly keys: Readonly<Record<string, CaseKey>>;
  readonly cases: readonly DecisionCase[];
}

/** The shared cases. */
export const DECISION_CASES = JSON.parse(
  readFileSync(new URL('../cases/decision-cases.json', import.meta.url), 'utf8'),
) as DecisionCases;

/** A case's key as a store knows it, at the moment `nowMs`. */
export function recordOfCaseKey(key: CaseKey, id: string, nowMs: number): KeyRecord {
  const expiresAtMs = { never: Number.POSITIVE_INFINITY, past: nowMs - 1, future: nowMs + 3_600_000 }[key.expires];
  return {
    id,
    accountId: key.accountId,
    workflowId: key.workflowId,
    permissions: permissionSet(key.permissions),
    appId: key.appId,
    expiresAtMs,
    revoked: key.revoked,
  };
}
