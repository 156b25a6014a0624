import { HttpProblem } from './problem.js';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Parses a JSON body, stricter than `JSON.parse`: bytes that are no UTF-8 and objects that name a field twice are
 * refused, for two readers of such a body may see two different requests. Throws an {@link HttpProblem} (422).
 */
export function parseJsonBody(bytes: Buffer): unknown {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw unreadable('The body is not UTF-8.');
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw unreadable('The body is not JSON.');
  }
  if (hasDuplicateField(text)) throw unreadable('The body names a field twice.');
  return value;
}

function unreadable(detail: string): HttpProblem {
  const message = detail.replace(/^The body /, '').replace(/\.$/, '');
  return new HttpProblem('invalid', detail, { errors: [{ field: '', pointer: '', message }] });
}

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;

/** Reports whether any object in `text`, which must be valid JSON, has two fields of the same name. */
function hasDuplicateField(text: string): boolean {
  // One entry an open bracket: the names seen in an object, `null` in an array.
  const open: (Set<string> | null)[] = [];
  let previous = '';
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(null);
    else if (token === '}' || token === ']') open.pop();
    else if (token === ':') {
      const names = open.at(-1);
      // Compared after unescaping: "name" and "n\u0061me" are one field.
      const name = JSON.parse(previous) as string;
      if (names?.has(name)) return true;
      names?.add(name);
    }
    previous = token;
  }
  return false;
}
