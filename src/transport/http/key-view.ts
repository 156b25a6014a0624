import { type PermissionName, permissionNames } from '../../domain/permissions.js';
import type { KeyDetails } from '../../ports/key-registry.js';
import { formatDateTime } from './date-time.js';

/** A key as JSON has it. */
export interface KeyView {
  readonly id: string;
  readonly name: string;
  readonly key_prefix: string;
  readonly workflow_id: string | null;
  readonly permissions: PermissionName[];
  readonly created_at: string;
  readonly last_used_at: string | null;
  readonly expires_at: string | null;
  readonly revoked_at: string | null;
}

/** Shows a key to its owner. */
export function keyView(key: KeyDetails): KeyView {
  return {
    id: key.id,
    name: key.name,
    key_prefix: key.keyPrefix,
    workflow_id: key.workflowId,
    permissions: [...permissionNames(key.permissions)],
    created_at: formatDateTime(key.createdAtMs),
    last_used_at: dateTimeOrNull(key.lastUsedAtMs),
    expires_at: dateTimeOrNull(key.expiresAtMs),
    revoked_at: dateTimeOrNull(key.revokedAtMs),
  };
}

function dateTimeOrNull(ms: number | null): string | null {
  return ms === null ? null : formatDateTime(ms);
}
