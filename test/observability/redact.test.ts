import { describe, expect, it } from 'vitest';
import { mintRawKey } from '../../src/domain/raw-key.js';
import { REDACTED, redact } from '../../src/observability/redact.js';

describe('redaction', () => {
  it('keeps the public prefix of a raw key and nothing else of it', () => {
    const key = mintRawKey();
    expect(redact(`bad key ${key}, sorry`)).toBe(`bad key ${key.slice(0, 12)}${REDACTED}, sorry`);
  });

  it.each([
    ['in capitals', (key: string) => key.toUpperCase()],
    ['cut short', (key: string) => key.slice(0, 40)],
    ['with a wrong letter', (key: string) => `${key.slice(0, 30)}x${key.slice(31)}`],
    ['with something glued to its end', (key: string) => `${key}_and-more`],
    ['in a URL', (key: string) => `https://host/?key=${key}&x=1`],
    ['twice', (key: string) => `${key}${key}`],
    ['without its prefix', (key: string) => key.slice(8)],
  ])('removes a key %s', (_, disguise) => {
    const key = mintRawKey();
    const secretPart = key.slice(12, 30).toLowerCase();
    expect(redact(disguise(key)).toLowerCase()).not.toContain(secretPart);
  });

  it('leaves a key prefix alone', () => {
    expect(redact('nk_live_ab12…')).toBe('nk_live_ab12…');
  });

  it('removes hashes of 32 bytes, tokens and passwords in URLs, and leaves trace ids and UUIDs', () => {
    expect(redact(`hash ${'0f'.repeat(32)}.`)).toBe(`hash ${REDACTED}.`);
    expect(redact('session=eyJhbGciOiJI.eyJzdWIiOiI.c2ln; a=b')).toBe(`session=${REDACTED}; a=b`);
    expect(redact('postgres://latchkey:s3cr%40t@db:5432/x')).toBe(`postgres://latchkey:${REDACTED}@db:5432/x`);
    const harmless = 'trace 4bf92f3577b34da6a3ce929d0e0e4736 key 00000000-0000-4000-8000-000000000001';
    expect(redact(harmless)).toBe(harmless);
  });

  it.each([
    ['a token with something glued to its front', 'sid_eyJhbGciOiJI.eyJzdWIiOiI.c2ln', `sid_${REDACTED}`],
    [
      'a token after what only begins like one',
      'eyJ eyJabcde. eyJhbGciOiJI.eyJzdWIiOiI.c2ln',
      `eyJ eyJabcde. ${REDACTED}`,
    ],
    ['the second of two tokens', 'eyJa.eyJhbGciOiJI.eyJzdWIiOiI.c2ln', `eyJa.${REDACTED}`],
    ['a URL with something glued to its front', 'url=1amqp://u:p@h', `url=1amqp://u:${REDACTED}@h`],
    ['a URL within a URL', 'a://b:c://u:p@h', `a://b:${REDACTED}@h`],
    [
      'a URL after one without a password',
      'http://a:80/x postgres://u:p@h',
      `http://a:80/x postgres://u:${REDACTED}@h`,
    ],
  ])('removes %s', (_, text, shown) => {
    expect(redact(text)).toBe(shown);
  });

  // In the square of the length each of these would take half an hour.
  it.each(['a', 'eyJ', 'eyJabcdef.', 'eyJa.eyJ', '://a:', 'a://b:', 'a://', 'nk_live_', 'nk_live_abcd', '0', '0f:'])(
    'is done in time with a text of nothing but %j',
    (part) => {
      const text = part.repeat((1024 * 1024) / part.length);
      expect(redact(text).length).toBeGreaterThan(0);
    },
  );
});
