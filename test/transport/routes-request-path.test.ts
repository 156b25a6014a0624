import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MASKED_SEGMENT, PATH_MAX_CHARACTERS, readRequestPath } from '../../src/transport/request-path.js';

describe('a request path', () => {
  test.each([
    ['/', '/'],
    ['/workflows/w1/nodes/n1', '/workflows/w1/nodes/n1'],
    ['/workflows/w1?x=/../y', '/workflows/w1'],
    ['/a/', '/a/'],
    ['/pkg.Service/Method', '/pkg.Service/Method'],
    ["/a/!$&'()*+,=:@-._~", "/a/!$&'()*+,=:@-._~"],
    ['/a/...', '/a/...'],
    ['/a/.b', '/a/.b'],
  ])('is accepted as it stands: %s', (target, decoded) => {
    expect(readRequestPath(target)).toEqual({ kind: 'accepted', decoded, masked: decoded });
  });

  test.each([
    ['/a/%20b', '/a/ b', `/a/${MASKED_SEGMENT}`],
    ['/a/%C3%A9/c', '/a/é/c', `/a/${MASKED_SEGMENT}/c`],
    ['/a/%c3%a9?q=%zz', '/a/é', `/a/${MASKED_SEGMENT}`],
    ['/a/x%3Ay%40z', '/a/x:y@z', `/a/${MASKED_SEGMENT}`],
  ])('is decoded where escapes are harmless: %s', (target, decoded, masked) => {
    expect(readRequestPath(target)).toEqual({ kind: 'accepted', decoded, masked });
  });

  test.each([
    '',
    '*',
    'workflows/w1',
    'http://host/workflows/w1',
    'HTTP://host/workflows/w1',
    'host:443',
    '//workflows/w1',
    '/workflows//w1',
    '/workflows/w1//',
    '/./workflows',
    '/workflows/..',
    '/workflows/../admin',
    '/workflows/.',
    '/workflows/..?x',
    '/workflows/%2e%2e/admin',
    '/workflows/%2E%2e/admin',
    '/workflows/.%2e/admin',
    '/workflows/%2e',
    '/workflows%2fw1',
    '/workflows%2Fw1',
    '/workflows/w1%5c..%5cadmin',
    '/workflows\\w1',
    '/workflows/w1;x=y',
    '/workflows/..;/admin',
    '/workflows/w1%3Bx',
    '/workflows/%77%31',
    '/%77orkflows',
    '/workflows/w1%00',
    '/workflows/w1%0d%0aHost:',
    '/workflows/w1%7f',
    '/workflows/%252e%252e/admin',
    '/workflows/%25',
    '/workflows/%',
    '/workflows/%4',
    '/workflows/%zz',
    '/workflows/%u002e',
    '/workflows/%c0%ae%c0%ae/admin',
    '/workflows/%e0%80%af',
    '/workflows/%ff',
    '/workflows/%ed%a0%80',
    '/workflows/w1%3Fadmin',
    '/workflows/w1%23admin',
    '/workflows/w1#admin',
    '/workflows/w 1',
    '/workflows/w1\tadmin',
    '/workflows/w1\u0000',
    '/workflows/é',
    '/workflows/．．/admin',
    '/workflows/{w1}',
    '/workflows/"w1"',
  ])('is refused where two programs could read it differently: %j', (target) => {
    expect(readRequestPath(target).kind).toBe('refused');
  });

  test('is refused when it is too long', () => {
    for (const segment of ['a', 'a/', '%20']) {
      expect(readRequestPath(`/${segment.repeat(PATH_MAX_CHARACTERS)}`).kind).toBe('refused');
      const shortest = `/${'a'.repeat(PATH_MAX_CHARACTERS - segment.length)}${segment}`;
      expect(readRequestPath(shortest)).toMatchObject({ kind: 'refused', detail: expect.stringContaining('too long') });
    }
  });

  test('of the greatest length is accepted, whatever the length of the query', () => {
    const path = `/${'a'.repeat(PATH_MAX_CHARACTERS - 1)}`;
    expect(readRequestPath(`${path}?${'q'.repeat(100_000)}`).kind).toBe('accepted');
  });

  test('that is accepted is what a WHATWG URL parser reads too, and survives a second decoding', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.constantFrom(
            'a',
            'B',
            '.',
            '..',
            '/',
            '%2e',
            '%2F',
            '%',
            '%41',
            '%20',
            '%C3%A9',
            '\\',
            ';',
            ':',
            '?',
            '#',
            '~',
            '%25',
          ),
          { maxLength: 12 },
        ),
        (pieces) => {
          const target = `/${pieces.join('')}`;
          const path = readRequestPath(target);
          if (path.kind === 'refused') return;
          const seen = new URL(`http://host${target}`).pathname;
          expect(decodeURIComponent(seen)).toBe(path.decoded);
          expect(decodeURIComponent(path.decoded)).toBe(path.decoded);
        },
      ),
      { numRuns: 5000 },
    );
  });

  test('that is refused says why without repeating the path', () => {
    const refused = readRequestPath('/secret;token');
    expect(refused.kind === 'refused' && refused.detail).toMatch(/character/);
    expect(JSON.stringify(refused)).not.toContain('secret');
  });
});
