/**
 * The query of the next page, from a `Link` header (RFC 8288), e.g. `?limit=50&cursor=…`; `null` on the last page.
 *
 * Only the query is taken: behind a proxy the path may be another, and a link must never lead to another host.
 */
export function nextPageOf(link: string | null): string | null {
  for (const [, target = '', parameters = ''] of (link ?? '').matchAll(/<([^>]*)>((?:\s*;[^,]*)?)/g)) {
    const query = target.indexOf('?');
    if (query >= 0 && /;\s*rel\s*=\s*"?next"?\s*(?:;|$)/i.test(parameters)) return target.slice(query);
  }
  return null;
}
