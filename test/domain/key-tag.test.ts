import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { KeyTags } from '../../src/domain/key-tag.js';
import { isWellFormedRawKey, mintRawKey } from '../../src/domain/raw-key.js';
import { rawKeyOf } from '../support/fakes/builders.js';

const OLD = 'old-secret-of-at-least-32-characters';
const NEW = 'new-secret-of-at-least-32-characters';

describe('a tagged key', () => {
  it('is a raw key like any other, never the same twice', () => {
    const tags = new KeyTags([NEW]);
    const keys = Array.from({ length: 100 }, () => tags.mint());
    expect(keys.every(isWellFormedRawKey)).toBe(true);
    expect(new Set(keys.map((key) => key.slice(8, 56))).size).toBe(keys.length);
  });

  it('ends in the first 8 bytes of HMAC-SHA-256 over everything before them', () => {
    const key = new KeyTags([NEW, OLD]).mint();
    expect(key.slice(56)).toBe(createHmac('sha256', NEW).update(key.slice(0, 56)).digest('hex').slice(0, 16));
  });

  it('is recognised by every secret still listed, so that secrets can be rotated', () => {
    const key = new KeyTags([OLD]).mint();
    expect(new KeyTags([NEW, OLD]).isTagged(key)).toBe(true);
    expect(new KeyTags([NEW]).isTagged(key)).toBe(false);
  });

  it('is not recognised after a change of any one digit', () => {
    const tags = new KeyTags([NEW]);
    const key = tags.mint();
    for (let at = 8; at < key.length; at++) {
      const changed = key.slice(0, at) + (key[at] === '0' ? '1' : '0') + key.slice(at + 1);
      expect([at, tags.isTagged(changed)]).toEqual([at, false]);
    }
  });
});

describe('keyed tags', () => {
  it.each([mintRawKey(), rawKeyOf(0)])('do not recognise the untagged key %#', (key) => {
    expect(new KeyTags([NEW]).isTagged(key)).toBe(false);
  });

  it('refuse to start without a secret, or with a short one', () => {
    expect(() => new KeyTags([])).toThrow(RangeError);
    expect(() => new KeyTags([NEW, 'x'.repeat(31)])).toThrow(RangeError);
  });
});
