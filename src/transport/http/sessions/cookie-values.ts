/** Name and value of each cookie in a `Cookie` header (RFC 6265, 5.4), in order, repeated names included. */
export function parseCookies(header: string | undefined): readonly (readonly [name: string, value: string])[] {
  if (header === undefined) return [];
  const cookies: [string, string][] = [];
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=');
    if (equals <= 0) continue;
    const value = pair.slice(equals + 1).trim();
    cookies.push([pair.slice(0, equals).trim(), value.replace(/^"(.*)"$/, '$1')]);
  }
  return cookies;
}

/**
 * The value of the one cookie of a name; `null` when there is none, and when there are several: a neighbouring
 * subdomain can add a second one, and nothing says which of the two the platform set.
 */
export function onlyCookie(header: string | undefined, name: string): string | null {
  const values = parseCookies(header).filter(([candidate]) => candidate === name);
  return values.length === 1 ? (values[0]?.[1] ?? null) : null;
}
