import { isAppKey, type KeyRecord } from './key-record.js';
import type { MethodEntry } from './method-entry.js';
import { Reason } from './reason.js';

/** The presented key does not have the shape of a raw key; nothing was looked up. */
export const KEY_MALFORMED = Symbol('KEY_MALFORMED');
/** No key with the presented key's hash exists. */
export const KEY_ABSENT = Symbol('KEY_ABSENT');
/** What is known of the presented key. */
export type KeyFinding = KeyRecord | typeof KEY_MALFORMED | typeof KEY_ABSENT;

/** Workflows are not checked against their owner (`LATCHKEY_WORKFLOW_OWNERSHIP=trust`). */
export const OWNERSHIP_NOT_ENFORCED = Symbol('OWNERSHIP_NOT_ENFORCED');
/** The workflow's owner has not been looked up yet: `decide` answers {@link OWNER_NEEDED} if it matters. */
export const OWNER_NOT_READ = Symbol('OWNER_NOT_READ');
/** The named workflow does not exist. */
export const WORKFLOW_ABSENT = Symbol('WORKFLOW_ABSENT');
/** What is known of the owner of the workflow that the request names: an account id, or one of the symbols. */
export type OwnerFinding = string | typeof WORKFLOW_ABSENT | typeof OWNER_NOT_READ | typeof OWNERSHIP_NOT_ENFORCED;

/** Not a decision: rule 9 is reached and the owner has not been read. Never leaves the service layer. */
export const OWNER_NEEDED = 0;

/**
 * Decides whether the holder of a key may call a method on a workflow. First match wins:
 *
 * 1. the key is malformed: `KEY_MALFORMED`
 * 2. its hash is not found: `KEY_UNKNOWN`
 * 3. it is revoked: `KEY_REVOKED`
 * 4. it has expired: `KEY_EXPIRED`
 * 5. the method is not in the catalogue: `METHOD_UNKNOWN`
 * 6. an app's key, and the method is not open to published apps: `METHOD_NOT_FOR_APPS`
 * 7. a scoped key, and the request names another workflow or the method acts on the account: `WORKFLOW_OUT_OF_SCOPE`
 * 8. no workflow is named, and the method acts on one, or the key is scoped and the method is not marked
 *    `scopedWithoutWorkflow`: `WORKFLOW_REQUIRED`
 * 9. ownership is enforced, a workflow is named, and it does not exist or is another account's: `WORKFLOW_UNKNOWN`
 * 10. the key lacks the method's permission: `PERMISSION_MISSING`
 * 11. otherwise `GRANTED`.
 *
 * Pure and total: no clock, no I/O, no exception. Ids are compared exactly.
 *
 * @param workflowId the workflow that the request names, or `''`
 * @param nowMs wall clock, ms since the Unix epoch; a key expires at the instant `expiresAtMs`, not after it
 */
export function decide(
  key: KeyFinding,
  owner: OwnerFinding,
  method: MethodEntry | undefined,
  workflowId: string,
  nowMs: number,
): Reason | typeof OWNER_NEEDED {
  if (key === KEY_MALFORMED) return Reason.KEY_MALFORMED;
  if (key === KEY_ABSENT) return Reason.KEY_UNKNOWN;
  if (key.revoked) return Reason.KEY_REVOKED;
  // Written so that a NaN on either side denies.
  if (!(nowMs < key.expiresAtMs)) return Reason.KEY_EXPIRED;
  if (method === undefined) return Reason.METHOD_UNKNOWN;
  if (isAppKey(key) && !method.apps) return Reason.METHOD_NOT_FOR_APPS;
  const scoped = key.workflowId !== '';
  const named = workflowId !== '';
  if (scoped && ((named && workflowId !== key.workflowId) || method.target === 'account')) {
    return Reason.WORKFLOW_OUT_OF_SCOPE;
  }
  if (!named && (method.target === 'workflow' || (scoped && !method.scopedWithoutWorkflow))) {
    return Reason.WORKFLOW_REQUIRED;
  }
  if (named && owner !== OWNERSHIP_NOT_ENFORCED) {
    if (owner === OWNER_NOT_READ) return OWNER_NEEDED;
    if (owner !== key.accountId) return Reason.WORKFLOW_UNKNOWN;
  }
  if ((key.permissions & method.permission) === 0) return Reason.PERMISSION_MISSING;
  return Reason.GRANTED;
}
