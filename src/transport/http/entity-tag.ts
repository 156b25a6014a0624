import { createHash } from 'node:crypto';

/** A strong entity tag of an answer's representation: its body, and headers that belong to it. */
export function entityTag(...parts: readonly string[]): string {
  const hash = createHash('sha256');
  // The length first, or moving a character from one part to the next would go unseen.
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return `"${hash.digest('base64url').slice(0, 27)}"`;
}

/** Reports whether an `If-None-Match` header names the tag (RFC 9110, 13.1.2: compared weakly). */
export function matchesEntityTag(ifNoneMatch: string | undefined, tag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  return ifNoneMatch.split(',').some((candidate) => {
    const text = candidate.trim();
    return text === '*' || text.replace(/^W\//, '') === tag;
  });
}
