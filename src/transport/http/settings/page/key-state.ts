import type { ApiKey } from './api.js';
import { UNUSED_AFTER_MS } from './dates.js';

/** What a row says of a key besides its dates. */
export type KeyState = 'revoked' | 'expired' | 'unused' | 'active';

/** `unused`: neither used nor created within the last 90 days. */
export function keyState(key: ApiKey, nowMs: number): KeyState {
  if (key.revoked_at !== null) return 'revoked';
  if (key.expires_at !== null && Date.parse(key.expires_at) <= nowMs) return 'expired';
  return nowMs - Date.parse(key.last_used_at ?? key.created_at) >= UNUSED_AFTER_MS ? 'unused' : 'active';
}
