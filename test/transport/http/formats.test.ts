import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseKeyName } from '../../../src/domain/key-name.js';
import { formatDateTime, parseDateTime } from '../../../src/transport/http/date-time.js';
import { entityTag, matchesEntityTag } from '../../../src/transport/http/entity-tag.js';
import { formatKeyCursor, parseKeyCursor } from '../../../src/transport/http/key-cursor.js';
import { KEY_NAME_PATTERN } from '../../../src/transport/http/schemas.js';

describe('the documented pattern of a name', () => {
  const pattern = new RegExp(KEY_NAME_PATTERN, 'u');

  it('accepts what parseKeyName accepts, and nothing else', () => {
    const character = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.constantFrom('a', 'é', '🗝', ' ', '\u00a0', '\u3000', '\u2003', '\t', '\n', '\u200b', '\u200d'),
      },
      {
        weight: 2,
        arbitrary: fc
          .integer({ min: 0, max: 0xffff })
          .filter((code) => code < 0xd800 || code > 0xdfff)
          .map((code) => String.fromCodePoint(code)),
      },
    );
    const name = fc.oneof(
      fc.array(character, { maxLength: 12 }).map((parts) => parts.join('')),
      fc
        .tuple(fc.integer({ min: 95, max: 105 }), character)
        .map(([length, padding]) => padding + 'x'.repeat(length) + padding),
    );
    fc.assert(
      fc.property(name, (text) => pattern.test(text) === 'name' in parseKeyName(text)),
      { numRuns: 5000 },
    );
  });

  it('agrees with parseKeyName on every single character', () => {
    for (let code = 0; code <= 0xffff; code++) {
      if (code >= 0xd800 && code <= 0xdfff) continue;
      const text = String.fromCodePoint(code);
      if (pattern.test(text) !== 'name' in parseKeyName(text)) throw new Error(`differs on U+${code.toString(16)}`);
    }
  });

  it('takes no more than linear time on long hostile text', () => {
    // With a pattern that backtracks, this would not end while anybody watches.
    for (const text of [`${' '.repeat(60_000)}`, `a${' '.repeat(60_000)}\n`, `${'a '.repeat(30_000)}`]) {
      expect(pattern.test(text)).toBe(false);
    }
  });
});

describe('parseDateTime', () => {
  it('reads back every instant that formatDateTime writes', () => {
    fc.assert(
      fc.property(
        fc.date({
          min: new Date('0001-01-01T00:00:00Z'),
          max: new Date('9999-12-31T23:59:59.999Z'),
          noInvalidDate: true,
        }),
        (date) => {
          expect(parseDateTime(formatDateTime(date.getTime()))).toBe(date.getTime());
        },
      ),
    );
  });

  it.each([
    ['2030-06-01T12:00:00Z', '2030-06-01T12:00:00.000Z'],
    ['2030-06-01t12:00:00z', '2030-06-01T12:00:00.000Z'],
    ['2030-06-01T12:00:00+02:00', '2030-06-01T10:00:00.000Z'],
    ['2030-06-01T00:30:00-01:45', '2030-06-01T02:15:00.000Z'],
    ['2030-06-01T12:00:00.1Z', '2030-06-01T12:00:00.100Z'],
    ['2030-06-01T12:00:00.123456789Z', '2030-06-01T12:00:00.123Z'],
    ['2016-12-31T23:59:60Z', '2017-01-01T00:00:00.000Z'],
    ['2032-02-29T00:00:00Z', '2032-02-29T00:00:00.000Z'],
    ['0050-01-01T00:00:00Z', '0050-01-01T00:00:00.000Z'],
  ])('reads %s', (text, instant) => {
    expect(formatDateTime(parseDateTime(text) ?? Number.NaN)).toBe(instant);
  });

  it.each([
    '2030-06-01',
    '2030-06-01T12:00:00',
    '2030-06-01 12:00:00Z',
    '2031-02-29T00:00:00Z',
    '2030-04-31T00:00:00Z',
    '2030-13-01T00:00:00Z',
    '2030-00-01T00:00:00Z',
    '2030-01-00T00:00:00Z',
    '2030-01-01T24:00:00Z',
    '2030-01-01T00:60:00Z',
    '2030-01-01T00:00:61Z',
    '2030-01-01T00:00:00+24:00',
    '2030-01-01T00:00:00+0200',
    '2030-01-01T00:00:00.Z',
    '+02030-01-01T00:00:00Z',
    '٢٠٣٠-01-01T00:00:00Z',
    ' 2030-01-01T00:00:00Z',
    '9999-12-31T23:59:59-00:01',
    '0000-01-01T00:00:00+00:01',
    'tomorrow',
    '',
  ])('refuses %j', (text) => {
    expect(parseDateTime(text)).toBeNull();
  });
});

describe('a cursor', () => {
  it('is read back as it was written', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 9_999_999_999_999_999n }), fc.uuid(), (us, id) => {
        const cursor = { createdAtUs: String(us), id };
        expect(parseKeyCursor(formatKeyCursor(cursor))).toEqual(cursor);
      }),
    );
  });
});

describe('an entity tag', () => {
  it('differs when a character moves from the body to a header', () => {
    expect(entityTag('ab', 'c')).not.toBe(entityTag('a', 'bc'));
  });

  it.each([
    [undefined, false],
    ['"other"', false],
    ['"tag"', true],
    ['W/"tag"', true],
    ['"other", "tag"', true],
    ['*', true],
    ['tag', false],
  ])('is matched by If-None-Match %s: %s', (header, matches) => {
    expect(matchesEntityTag(header, '"tag"')).toBe(matches);
  });
});

describe('formatDateTime', () => {
  it.each([
    [8.64e15 + 1, '9999-12-31T23:59:59.999Z'],
    [Number.POSITIVE_INFINITY, '9999-12-31T23:59:59.999Z'],
    [253_402_300_800_000, '9999-12-31T23:59:59.999Z'],
    [-1e15, '0000-01-01T00:00:00.000Z'],
  ])('shows %d, which another writer may have stored, as %s', (ms, text) => {
    expect(formatDateTime(ms)).toBe(text);
  });
});
