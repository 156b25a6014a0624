import type { AuthorizeRequest, AuthorizeResponse } from '../gen/latchkey/v1/authorization_service.js';
import { Permission, Decision as ProtoDecision, Reason as ProtoReason } from '../gen/latchkey/v1/decision.js';

/** Why a decision came out as it did; `UNKNOWN_REASON` is one that this version of the client does not know. */
export type Reason =
  | 'GRANTED'
  | 'KEY_MALFORMED'
  | 'KEY_UNKNOWN'
  | 'KEY_REVOKED'
  | 'KEY_EXPIRED'
  | 'METHOD_UNKNOWN'
  | 'METHOD_NOT_FOR_APPS'
  | 'WORKFLOW_OUT_OF_SCOPE'
  | 'WORKFLOW_REQUIRED'
  | 'WORKFLOW_UNKNOWN'
  | 'PERMISSION_MISSING'
  | 'UNKNOWN_REASON';

/** Something that a key may be allowed to do. */
export type PermissionName = 'read' | 'execute' | 'write';

/** One question: may the holder of this key call this method on this workflow? */
export interface Question {
  /** The raw key, as it was presented. */
  readonly key: string;
  /** The workflow that the call names; left out when it names none. */
  readonly workflowId?: string;
  /** The method, by its canonical name or any alias, e.g. `nodes.getOutput`. */
  readonly method: string;
}

/** The answer to one question. */
export interface Decision {
  /** Whether the call is allowed. */
  readonly allowed: boolean;
  readonly reason: Reason;
  /** Id of the key; empty, like all of the identity, when the key is malformed or unknown. */
  readonly keyId: string;
  readonly accountId: string;
  /** The one workflow that the caller must keep to; empty for all of the account's. */
  readonly workflowId: string;
  /** What the key may do. */
  readonly permissions: readonly PermissionName[];
  /** The permission that the asked method requires; `null` when that is not known. */
  readonly requiredPermission: PermissionName | null;
  /** The published app that the key was minted for; empty for a user key. */
  readonly appId: string;
}

/** A question as it is sent. */
export function requestOf({ key, workflowId = '', method }: Question): AuthorizeRequest {
  // Callers without types pass what they have, a missing header for example: it is asked as nothing, and denied.
  return { key: key ?? '', workflowId: workflowId ?? '', method: method ?? '' };
}

/** Reads an answer. Whatever this version does not know denies. */
export function decisionFromProto(answer: AuthorizeResponse): Decision {
  return {
    allowed: answer.decision === ProtoDecision.ALLOW,
    reason: reasonFromProto(answer.reason),
    keyId: answer.keyId,
    accountId: answer.accountId,
    workflowId: answer.workflowId,
    permissions: answer.permissions.map(permissionFromProto).filter((name) => name !== null),
    requiredPermission: permissionFromProto(answer.requiredPermission),
    appId: answer.appId,
  };
}

function reasonFromProto(reason: ProtoReason): Reason {
  switch (reason) {
    case ProtoReason.UNSPECIFIED:
    case ProtoReason.UNRECOGNIZED:
      return 'UNKNOWN_REASON';
    default:
      return (
        (ProtoReason[reason] as keyof Omit<typeof ProtoReason, 'UNSPECIFIED' | 'UNRECOGNIZED'> | undefined) ??
        'UNKNOWN_REASON'
      );
  }
}

function permissionFromProto(permission: Permission): PermissionName | null {
  switch (permission) {
    case Permission.READ:
      return 'read';
    case Permission.EXECUTE:
      return 'execute';
    case Permission.WRITE:
      return 'write';
    default:
      return null;
  }
}
