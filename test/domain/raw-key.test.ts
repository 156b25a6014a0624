import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  hashRawKey,
  isWellFormedRawKey,
  keyHashFromBytes,
  keyHashToBytes,
  keyPrefixOf,
  mintRawKey,
} from '../../src/domain/raw-key.js';
import { rawKeyOf } from '../support/fakes/builders.js';
import { MALFORMED_RAW_KEYS } from '../support/malformed-raw-keys.js';

describe('a raw key', () => {
  it('is well-formed as minted, and never the same twice', () => {
    const keys = Array.from({ length: 100 }, mintRawKey);
    expect(keys.every(isWellFormedRawKey)).toBe(true);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it.each(MALFORMED_RAW_KEYS)('is malformed when it is $name', ({ value }) => {
    expect(isWellFormedRawKey(value)).toBe(false);
  });

  it('is malformed with any single character that is not lower-case hex', () => {
    const key = rawKeyOf(0xabcdef);
    for (let code = 0; code < 0x180; code++) {
      const character = String.fromCharCode(code);
      const expected = '0123456789abcdef'.includes(character);
      expect([code, isWellFormedRawKey(key.slice(0, 40) + character + key.slice(41))]).toEqual([code, expected]);
    }
  });

  it('shows its first 12 characters and no more', () => {
    expect(keyPrefixOf(`nk_live_abcdef${'0'.repeat(58)}`)).toBe('nk_live_abcd');
  });
});

describe('a key hash', () => {
  it('is the SHA-256 of the whole raw key, and survives the way to bytes and back', () => {
    const rawKey = rawKeyOf(1);
    const expected = createHash('sha256').update(rawKey).digest();
    expect(keyHashToBytes(hashRawKey(rawKey)).equals(expected)).toBe(true);
    expect(keyHashFromBytes(expected)).toBe(hashRawKey(rawKey));
  });

  it('is refused when the stored bytes are not 32', () => {
    expect(() => keyHashFromBytes(Buffer.alloc(31))).toThrow(RangeError);
  });
});
