import { parseCookies } from './cookie-values.js';

const JWT_MAX_LENGTH = 16_384;
const JWT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;
const SUPABASE_COOKIE = /^(sb-[A-Za-z0-9-]{1,64}-auth-token)(?:\.\d{1,2})?$/;
const MOST_CHUNKS = 32;
const BASE64_PREFIX = 'base64-';

/**
 * Finds the access token (a JWT) in a `Cookie` header; `null` when there is none that is whole and unambiguous.
 *
 * Reads the cookie `name`, and in its absence the one cookie called `sb-<ref>-auth-token`, as Supabase names it. Either
 * may be split in chunks `.0`, `.1`, …, and may hold the token itself or JSON around it (what Supabase's libraries
 * store: an object with `access_token`, or an array that begins with it), plain, percent-encoded or `base64-`.
 * Nothing is verified here.
 */
export function sessionToken(cookieHeader: string | undefined, name: string): string | null {
  const cookies = new Map<string, string[]>();
  for (const [cookie, value] of parseCookies(cookieHeader))
    cookies.set(cookie, [...(cookies.get(cookie) ?? []), value]);
  const stored = storedValue(cookies, sessionCookieName(cookies, name));
  const token = stored === null ? null : accessToken(stored);
  return token !== null && token.length <= JWT_MAX_LENGTH && JWT.test(token) ? token : null;
}

type Cookies = ReadonlyMap<string, readonly string[]>;

/** The configured name when such a cookie, or a chunk of it, is there; otherwise Supabase's, when there is only one. */
function sessionCookieName(cookies: Cookies, name: string): string {
  if (cookies.has(name) || cookies.has(`${name}.0`)) return name;
  const supabase = new Set([...cookies.keys()].flatMap((cookie) => SUPABASE_COOKIE.exec(cookie)?.[1] ?? []));
  const [only] = supabase;
  return only !== undefined && supabase.size === 1 ? only : name;
}

/** The decoded value of a cookie or of its chunks; `null` when it is absent, repeated or badly encoded. */
function storedValue(cookies: Cookies, name: string): string | null {
  if (cookies.has(name)) return decoded(single(cookies.get(name)));
  let value = '';
  for (let chunk = 0; cookies.has(`${name}.${chunk}`); chunk++) {
    const part = chunk < MOST_CHUNKS ? decoded(single(cookies.get(`${name}.${chunk}`))) : null;
    if (part === null) return null;
    value += part;
  }
  return value === '' ? null : value;
}

// A repeated name is ambiguous: a neighbouring subdomain can set the second one.
function single(values: readonly string[] | undefined): string | null {
  return values?.length === 1 ? (values[0] ?? null) : null;
}

function decoded(value: string | null): string | null {
  if (value === null) return null;
  try {
    return decodeURIComponent(value);
  } catch {
    return null;
  }
}

function accessToken(stored: string): string | null {
  const text = stored.startsWith(BASE64_PREFIX)
    ? Buffer.from(stored.slice(BASE64_PREFIX.length), 'base64url').toString('utf8')
    : stored;
  if (JWT.test(text)) return text;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  const token = Array.isArray(json)
    ? json[0]
    : typeof json === 'object' && json !== null && 'access_token' in json
      ? json.access_token
      : json;
  return typeof token === 'string' ? token : null;
}
