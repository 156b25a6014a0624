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
});
