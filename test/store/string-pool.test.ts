import { describe, expect, it } from 'vitest';
import { StringPool } from '../../src/store/string-pool.js';

describe('a string pool', () => {
  it('gives back what it was given, whether it knows it, does not, or has just started anew', () => {
    const pool = new StringPool(2);
    const texts = ['a', 'b', 'a', 'c', 'a', '', 'd', 'a'];
    expect(texts.map((text) => pool.share(text))).toEqual(texts);
  });
});
