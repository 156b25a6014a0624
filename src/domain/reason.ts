/**
 * Why a decision came out as it did. The numbers are those of `latchkey.v1.Reason` and part of the contract.
 *
 * In the order of the decision table (docs of {@link decide}); `GRANTED` is the only one that allows.
 */
export const Reason = {
  GRANTED: 1,
  KEY_MALFORMED: 2,
  KEY_UNKNOWN: 3,
  KEY_REVOKED: 4,
  KEY_EXPIRED: 5,
  METHOD_UNKNOWN: 6,
  METHOD_NOT_FOR_APPS: 7,
  WORKFLOW_OUT_OF_SCOPE: 8,
  WORKFLOW_REQUIRED: 9,
  WORKFLOW_UNKNOWN: 10,
  PERMISSION_MISSING: 11,
} as const;

/** The name of a reason, as in logs, metrics and problem documents. */
export type ReasonName = keyof typeof Reason;

/** One reason. */
export type Reason = (typeof Reason)[ReasonName];

/** All reasons, in ascending order of their number. */
export const REASONS: readonly Reason[] = Object.values(Reason);

const NAME_OF_REASON = new Map<Reason, ReasonName>(
  Object.entries(Reason).map(([name, reason]) => [reason, name as ReasonName]),
);

/** The name of a reason. */
export function reasonName(reason: Reason): ReasonName {
  return NAME_OF_REASON.get(reason) as ReasonName;
}

/** The HTTP status that says a reason: 200, 401 (who are you?) or 403 (you may not). */
export function httpStatusOfReason(reason: Reason): 200 | 401 | 403 {
  if (reason === Reason.GRANTED) return 200;
  return reason <= Reason.KEY_EXPIRED ? 401 : 403;
}

/**
 * Reports whether an answer with this reason may name the key's identity.
 *
 * A malformed or unknown key has none; every later reason is about a key its holder knows.
 */
export function reasonCarriesIdentity(reason: Reason): boolean {
  return reason !== Reason.KEY_MALFORMED && reason !== Reason.KEY_UNKNOWN;
}
