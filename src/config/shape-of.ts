/** Most characters of a shape that are shown. */
const SHOWN_MAX = 40;

/**
 * Describes a value that was refused without repeating it: letters become `a` or `A`, digits `9`. Of a secret only the
 * length is told. People paste secrets into the wrong variable, and what is printed at a failed start is kept in logs.
 */
export function shapeOf(value: string, secret: boolean): string {
  if (value === '') return 'is empty';
  const length = `has ${value.length} ${value.length === 1 ? 'character' : 'characters'}`;
  if (secret) return length;
  const shape = value
    .slice(0, SHOWN_MAX)
    .replace(/\p{Lu}/gu, 'A')
    .replace(/[\p{L}\p{M}]/gu, (letter) => (letter === 'A' ? 'A' : 'a'))
    .replace(/\p{N}/gu, '9')
    .replace(/[\p{C}\p{Z}]/gu, (character) => (character === ' ' ? ' ' : '\uFFFD'));
  return `${length} of the shape "${shape}${value.length > SHOWN_MAX ? '…' : ''}"`;
}
