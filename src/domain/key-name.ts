import { holdsRawKey } from './raw-key.js';

/** Most characters (Unicode code points) of a key's name, after trimming. */
export const KEY_NAME_MAX = 100;

// Cc: controls; Cf without the joiners that emoji need: invisible formatting such as bidi overrides; lone surrogates.
const FORBIDDEN = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061C\u200B\u200E\u200F\u202A-\u202E\u2060-\u2069\uFEFF]/u;

/** A valid name, trimmed, or what is wrong with it. */
export type ParsedKeyName = { readonly name: string } | { readonly problem: string };

/**
 * Parses the name of a key: 1 to {@link KEY_NAME_MAX} characters after trimming, none of them a control character; and
 * no raw key, which is pasted into the wrong field sooner or later.
 */
export function parseKeyName(value: string): ParsedKeyName {
  // Before trimming, or a newline at the end would be trimmed away instead of refused.
  if (FORBIDDEN.test(value)) return { problem: 'must not contain control characters' };
  const name = value.trim();
  if (name === '') return { problem: 'must not be blank' };
  if (holdsRawKey(name)) return { problem: 'must not hold an API key' };
  if ([...name].length > KEY_NAME_MAX) return { problem: `must have at most ${KEY_NAME_MAX} characters` };
  return { name };
}
