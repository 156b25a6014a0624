import { describe, expect, it } from 'vitest';
import { parseDuration } from '../../src/cli/durations.js';
import { pairs, table } from '../../src/cli/table.js';

describe('a table', () => {
  it('lines columns up, without frames and without blanks at the ends of lines', () => {
    expect(
      table(
        ['ID', 'NAME'],
        [
          ['1', 'a long name'],
          ['22', 'b'],
        ],
      ),
    ).toBe('ID  NAME\n1   a long name\n22  b');
    expect(
      pairs([
        ['id', '1'],
        ['account', 'dev'],
      ]),
    ).toBe('id       1\naccount  dev');
  });

  it('lets no value steer the terminal', () => {
    expect(table(['NAME'], [['\u001b[31mred\u0007\nnew line']])).toBe('NAME\n\uFFFD[31mred\uFFFD\uFFFDnew line');
  });
});

describe('a duration', () => {
  it.each([
    ['0', 0],
    ['90s', 90_000],
    ['15m', 900_000],
    ['24h', 86_400_000],
    ['30d', 2_592_000_000],
    ['2w', 1_209_600_000],
  ])('reads %s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', '1', 's', '-1s', '1.5h', '1 h', '1y', '9999999999s'])('refuses %j', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});
