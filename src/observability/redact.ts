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

// The next two take a whole run of characters at once and are looked at afterwards: a pattern that needs what follows the
// run would try again from every place in it, in the square of its length, and others choose what is logged.

// Header and payload of a JSON Web Token both begin as the Base64 of `{"`. The group is missing where no token is.
const WEB_TOKEN = /eyJ(?:[\w-]{5,}(\.eyJ[\w-]+\.[\w-]*)?)?/g;

// The third group is empty where the second is no password.
const URL_PASSWORD = /(:\/\/[^\s:/@"]*:)([^\s@"]+)(@?)/g;

/**
 * Removes whatever looks like a secret from a text: raw keys (all but their public first 12 characters), hashes of 32
 * bytes in hex, JSON Web Tokens, and passwords in URLs. Takes time in proportion to the text's length, whatever is in it.
 */
export function redact(text: string): string {
  return text
    .replace(RAW_KEY, `$1${REDACTED}`)
    .replace(HASH, REDACTED)
    .replace(WEB_TOKEN, (run: string, rest?: string) => (rest === undefined ? run : REDACTED))
    .replace(URL_PASSWORD, (run: string, before: string, _password: string, at: string) =>
      at === '' ? run : `${before}${REDACTED}${at}`,
    );
}
