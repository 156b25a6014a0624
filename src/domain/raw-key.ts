import { hash, randomBytes } from 'node:crypto';

declare const keyHashBrand: unique symbol;

/**
 * SHA-256 of a whole raw key, as a string of 32 characters U+0000 to U+00FF (one per byte).
 *
 * A one-byte string is the smallest map key V8 has and the fastest digest `crypto.hash` gives; it is never printed.
 * Convert with {@link keyHashToBytes} and {@link keyHashFromBytes} at the database.
 */
export type KeyHash = string & { readonly [keyHashBrand]: 'KeyHash' };

/** What every raw key starts with. */
export const RAW_KEY_PREFIX = 'nk_live_';

/** Lower-case hex digits after {@link RAW_KEY_PREFIX}: 32 bytes. */
export const RAW_KEY_HEX_DIGITS = 64;

/** Characters of a raw key. */
export const RAW_KEY_LENGTH = RAW_KEY_PREFIX.length + RAW_KEY_HEX_DIGITS;

/** Characters of a raw key that may be shown again after its creation. */
export const KEY_PREFIX_LENGTH = 12;

const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const LETTER_A = 0x61;
const LETTER_F = 0x66;

/**
 * Reports whether `value` has the exact shape of a raw key: {@link RAW_KEY_PREFIX} and 64 lower-case hex digits.
 *
 * A loop over character codes, because a regular expression costs about as much as the hash that follows it.
 */
export function isWellFormedRawKey(value: string): boolean {
  if (value.length !== RAW_KEY_LENGTH || !value.startsWith(RAW_KEY_PREFIX)) return false;
  for (let i = RAW_KEY_PREFIX.length; i < RAW_KEY_LENGTH; i++) {
    const code = value.charCodeAt(i);
    if (!((code >= DIGIT_0 && code <= DIGIT_9) || (code >= LETTER_A && code <= LETTER_F))) return false;
  }
  return true;
}

/** Most hex digits after {@link RAW_KEY_PREFIX} in a text that is no secret: twice what a list shows of a key. */
const SHOWN_DIGITS_MAX = 2 * (KEY_PREFIX_LENGTH - RAW_KEY_PREFIX.length);

const RAW_KEY_IN_TEXT = new RegExp(`${RAW_KEY_PREFIX}[0-9a-f]{${SHOWN_DIGITS_MAX + 1}}`, 'i');

/**
 * Reports whether a text holds a raw key, or so much of one that it is a secret, too: cut short, or in capitals. Such a
 * text must not be stored, nor sent to the database, whose log repeats the rows that it refuses.
 */
export function holdsRawKey(text: string): boolean {
  return RAW_KEY_IN_TEXT.test(text);
}

/**
 * Hashes a raw key, or whatever was given as one. The hash names the text only if it is well-formed: two strings with
 * halves of surrogate pairs may share their UTF-8 bytes.
 */
export function hashRawKey(rawKey: string): KeyHash {
  return hash('sha256', rawKey, 'binary') as KeyHash;
}

/** The part of a raw key that may be stored in clear and shown again: its first 12 characters. */
export function keyPrefixOf(rawKey: string): string {
  return rawKey.slice(0, KEY_PREFIX_LENGTH);
}

/** Makes a raw key of 32 bytes from the operating system's generator. The caller shows it once and forgets it. */
export function mintRawKey(): string {
  return RAW_KEY_PREFIX + randomBytes(RAW_KEY_HEX_DIGITS / 2).toString('hex');
}

/** The 32 bytes of a key hash, for a `bytea` parameter. */
export function keyHashToBytes(keyHash: KeyHash): Buffer {
  return Buffer.from(keyHash, 'latin1');
}

/** Reads a key hash from a `bytea` column. Throws a `RangeError` when it is not 32 bytes. */
export function keyHashFromBytes(bytes: Buffer): KeyHash {
  if (bytes.length !== 32) throw new RangeError(`a key hash has 32 bytes, not ${bytes.length}`);
  return bytes.toString('latin1') as KeyHash;
}
