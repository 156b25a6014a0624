import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { RAW_KEY_LENGTH, RAW_KEY_PREFIX } from './raw-key.js';

/** Bits of a tag: a forger passes with a chance of 2^-64 a guess and secret, and has then found no key yet. */
export const KEY_TAG_BITS = 64;

/** Fewest characters of a secret: 32 of hex are 128 bits, the least that is worth attacking the hash instead. */
export const KEY_TAG_SECRET_MIN = 32;

const TAG_HEX_DIGITS = KEY_TAG_BITS / 4;
/** Random part of a tagged key: 24 bytes, 192 bits. */
const RANDOM_BYTES = (RAW_KEY_LENGTH - RAW_KEY_PREFIX.length - TAG_HEX_DIGITS) / 2;
const TAG_START = RAW_KEY_LENGTH - TAG_HEX_DIGITS;

/**
 * Mints and recognises raw keys that carry a keyed tag.
 *
 * A tagged key has the shape of every raw key. Its first 48 hex digits are random, its last 16 are the first 8 bytes of
 * HMAC-SHA-256(secret, prefix and those 48 digits). Who does not know a secret cannot make one.
 */
export class KeyTags {
  /** @param secrets newest first; the first one mints, all of them verify. At least one. */
  constructor(private readonly secrets: readonly string[]) {
    if (secrets.length === 0) throw new RangeError('keyed tags need at least one secret');
    for (const secret of secrets) {
      if (secret.length < KEY_TAG_SECRET_MIN) {
        throw new RangeError(`a secret of keyed tags has at least ${KEY_TAG_SECRET_MIN} characters`);
      }
    }
  }

  /** Makes a raw key with a tag by the newest secret. The caller shows it once and forgets it. */
  mint(): string {
    const body = RAW_KEY_PREFIX + randomBytes(RANDOM_BYTES).toString('hex');
    return body + tagOf(this.secrets[0] as string, body).toString('hex');
  }

  /**
   * Reports whether a well-formed raw key carries a valid tag. Forged and untagged keys do not, alike: both look random,
   * and nothing but the database can tell them apart.
   */
  isTagged(rawKey: string): boolean {
    const body = rawKey.slice(0, TAG_START);
    const tag = Buffer.from(rawKey.slice(TAG_START), 'hex');
    if (tag.length !== KEY_TAG_BITS / 8) return false;
    let valid = false;
    // Every secret is tried and every byte compared: the time taken tells a forger nothing about a tag.
    for (const secret of this.secrets) valid = timingSafeEqual(tagOf(secret, body), tag) || valid;
    return valid;
  }
}

function tagOf(secret: string, body: string): Buffer {
  return createHmac('sha256', secret)
    .update(body)
    .digest()
    .subarray(0, KEY_TAG_BITS / 8);
}
