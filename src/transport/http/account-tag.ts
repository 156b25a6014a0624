import { createHash } from 'node:crypto';

/** The header of {@link accountTag}. */
export const ACCOUNT_TAG_HEADER = 'latchkey-account';

/**
 * An opaque name of an account, always the same for one: by it a page sees that another account has signed in in its
 * browser. It tells apart and says nothing: the id, which may be an address or a subject of the platform's, stays here.
 */
export function accountTag(accountId: string): string {
  // The label keeps the tag from being equal to a plain SHA-256 of the id that somebody else may keep.
  return createHash('sha256').update(`latchkey account tag:${accountId}`).digest('base64url').slice(0, 22);
}
