/**
 * Keeps one copy of strings that come again and again, each time as a new string: ids of accounts in rows of their keys.
 *
 * Bounded: a pool that is full starts anew, and then some strings have two copies for a while.
 */
export class StringPool {
  private readonly copies = new Map<string, string>();

  /** @param max most strings to keep */
  constructor(private readonly max: number) {}

  /** A string equal to `text`, the same object for equal strings while the pool remembers it. */
  share(text: string): string {
    const known = this.copies.get(text);
    if (known !== undefined) return known;
    if (this.copies.size >= this.max) this.copies.clear();
    this.copies.set(text, text);
    return text;
  }

  clear(): void {
    this.copies.clear();
  }
}
