/**
 * Reads the path of a request target, and refuses every spelling that two programs could read differently.
 *
 * Latchkey decides on the path that it sees, and another program serves it. Between them stand habits: dot segments
 * are resolved, slashes merged, `;parameters` cut off, escapes decoded once or twice. Were the path normalised here,
 * the decision would hold for one of several readings. So nothing is normalised: a path is accepted only when all
 * common readings of it are the same, and refused otherwise.
 *
 * Accepted: origin form (a leading `/`), the characters that RFC 3986 allows in a segment except `;`, and escapes of
 * characters that must or may be escaped. Refused: absolute form, `*`, empty segments (`//`), `.` and `..`, `;`, `\`,
 * `#`, characters outside the RFC (raw spaces, quotes, brackets, control and non-ASCII characters), broken escapes,
 * escapes that are not UTF-8 (overlong forms among them), escapes of letters, digits and `-._~` (RFC 3986 section
 * 6.2.2.2: they are the same as the plain character, so that `%2e%2e` is `..`), escapes of `/`, `\`, `%`, `;`, `?`,
 * `#` and of control characters, and more than {@link PATH_MAX_CHARACTERS} characters.
 */
export type RequestPath =
  | {
      readonly kind: 'accepted';
      /** The path without its query, every escape decoded. Holds no `%`, `?` or `#`. */
      readonly decoded: string;
      /**
       * The path with each segment that had an escape replaced by {@link MASKED_SEGMENT}; the same string as `decoded`
       * when there was none. It reaches the route of a program that does not decode before it routes.
       */
      readonly masked: string;
    }
  | { readonly kind: 'refused'; readonly detail: string };

/** Longest path, in characters, that is looked at. A field of an authorization request holds no more either. */
export const PATH_MAX_CHARACTERS = 4096;

/** Stands for a segment that was written with escapes: a private-use character, which no route's template holds. */
export const MASKED_SEGMENT = '\uE000';

const SLASH = 0x2f;
const DOT = 0x2e;
const PERCENT = 0x25;
const QUESTION_MARK = 0x3f;

const UNRESERVED = /[A-Za-z0-9\-._~]/;
/** `sub-delims`, `:` and `@`, without `;`. */
const OTHER_SEGMENT_CHARACTERS = "!$&'()*+,=:@";
const NEVER_ESCAPED = '/\\%;?#';

/** By character code: 1 where the character may stand in a segment as it is. */
const PLAIN = new Uint8Array(128);
/** By byte: 1 where the byte may be written as an escape. */
const ESCAPABLE = new Uint8Array(256).fill(1);
for (let code = 0; code < 128; code++) {
  const character = String.fromCharCode(code);
  const unreserved = UNRESERVED.test(character);
  if (unreserved || OTHER_SEGMENT_CHARACTERS.includes(character)) PLAIN[code] = 1;
  if (unreserved || NEVER_ESCAPED.includes(character) || code < 0x20 || code === 0x7f) ESCAPABLE[code] = 0;
}

/** Reads a request target, with or without a query, as it stands on the request line. Never throws. */
export function readRequestPath(target: string): RequestPath {
  if (target.charCodeAt(0) !== SLASH) return refused('it does not begin with "/"');
  let escapes = false;
  let segmentStart = 1;
  let end = 1;
  for (; end < target.length; end++) {
    if (end > PATH_MAX_CHARACTERS) return refused('it is too long');
    const code = target.charCodeAt(end);
    if (code === QUESTION_MARK) break;
    if (code === SLASH) {
      if (end === segmentStart) return refused('it has an empty segment');
      if (isDotSegment(target, segmentStart, end)) return refused('it has a dot segment');
      segmentStart = end + 1;
    } else if (code === PERCENT) {
      const byte = hexByte(target, end + 1);
      if (byte === -1) return refused('it has a broken percent-encoding');
      if (ESCAPABLE[byte] === 0) return refused('it percent-encodes a character that must not be');
      escapes = true;
      end += 2;
    } else if (code >= 128 || PLAIN[code] === 0) {
      return refused('it has a character that must not stand in a path');
    }
  }
  if (end > PATH_MAX_CHARACTERS) return refused('it is too long');
  if (isDotSegment(target, segmentStart, end)) return refused('it has a dot segment');

  const path = end === target.length ? target : target.slice(0, end);
  if (!escapes) return { kind: 'accepted', decoded: path, masked: path };
  const decoded = decode(path);
  if (decoded === null) return refused('it percent-encodes something other than UTF-8');
  return { kind: 'accepted', decoded, masked: path.replace(/[^/]*%[^/]*/g, MASKED_SEGMENT) };
}

function refused(why: string): RequestPath {
  return { kind: 'refused', detail: `The path is not in the one form that is routed: ${why}.` };
}

function isDotSegment(target: string, start: number, end: number): boolean {
  const length = end - start;
  if (length !== 1 && length !== 2) return false;
  return target.charCodeAt(start) === DOT && target.charCodeAt(end - 1) === DOT;
}

/** The byte that two hex digits name, or -1. */
function hexByte(text: string, at: number): number {
  const high = hexDigit(text.charCodeAt(at));
  const low = hexDigit(text.charCodeAt(at + 1));
  return high === -1 || low === -1 ? -1 : high * 16 + low;
}

/** The value of one hex digit, or -1; `NaN` (past the end of the text) is none. */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  if (lower >= 0x61 && lower <= 0x66) return lower - 0x61 + 10;
  return -1;
}

function decode(path: string): string | null {
  try {
    return decodeURIComponent(path);
  } catch {
    return null;
  }
}
