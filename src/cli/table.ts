import Table from 'cli-table3';

/** Only spaces between columns: a table that can be read, and cut by `awk`. */
const PLAIN = {
  chars: {
    top: '',
    'top-mid': '',
    'top-left': '',
    'top-right': '',
    bottom: '',
    'bottom-mid': '',
    'bottom-left': '',
    'bottom-right': '',
    left: '',
    'left-mid': '',
    mid: '',
    'mid-mid': '',
    right: '',
    'right-mid': '',
    middle: '  ',
  },
  style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
};

/** Rows under headings. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const grid = new Table({ ...PLAIN, head: [...head] });
  for (const row of rows) grid.push(row.map(printable));
  return trimmed(grid.toString());
}

/** Names and values, one pair a line. */
export function pairs(rows: readonly (readonly [name: string, value: string])[]): string {
  const grid = new Table(PLAIN);
  for (const [name, value] of rows) grid.push([name, printable(value)]);
  return trimmed(grid.toString());
}

/** A name in the database may hold anything, an escape sequence of the terminal too. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '\uFFFD');
}

function trimmed(text: string): string {
  return text
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}
