import { KEY_PREFIX_LENGTH, RAW_KEY_PREFIX } from '../domain/raw-key.js';

/** Stands where a secret stood. */
export const REDACTED = '[redacted]';

/** Characters after {@link RAW_KEY_PREFIX} that may be shown again: with it they make the key prefix of a list. */
const SHOWN = KEY_PREFIX_LENGTH - RAW_KEY_PREFIX.length;

// Wider than the shape of a raw key on purpose: a key with a typing error, cut short, in capitals or with something
// glued to its end is as much of a secret.
const RAW_KEY = new RegExp(`(${RAW_KEY_PREFIX}[\\w-]{${SHOWN}})[\\w%.-]+`, 'gi');

// 32 bytes in hex: the hash of a key or of a session token, or a raw key that lost its prefix.
const HASH = /(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/gi;

// Header and payload of a JSON Web Token both begin as the Base64 of `{"`.
const WEB_TOKEN = /eyJ[\w-]{5,}\.eyJ[\w-]+\.[\w-]*/g;

const URL_PASSWORD = /([a-z][a-z0-9+.-]*:\/\/[^\s:/@"]*:)[^\s@"]+(?=@)/gi;

/**
 * Removes whatever looks like a secret from a text: raw keys (all but their public first 12 characters), hashes of 32
 * bytes in hex, JSON Web Tokens, and passwords in URLs.
 */
export function redact(text: string): string {
  return text
    .replace(RAW_KEY, `$1${REDACTED}`)
    .replace(HASH, REDACTED)
    .replace(WEB_TOKEN, REDACTED)
    .replace(URL_PASSWORD, `$1${REDACTED}`);
}
