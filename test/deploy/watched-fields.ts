/**
 * A value that remembers which of its fields were looked at.
 *
 * Validators made from the schemas of Kubernetes let unknown fields pass, as the API does when it drops them. They look
 * at every field that their schema knows; so a field that was never looked at is one that nobody knows: a misspelling.
 */
export class WatchedFields {
  private readonly seen = new Map<object, Set<string>>();

  /** The value as a validator should be given it. */
  watch<T>(value: T): T {
    if (typeof value !== 'object' || value === null) return value;
    const seen = this.seen.get(value) ?? new Set();
    this.seen.set(value, seen);
    return new Proxy(value, {
      get: (target, name) => {
        if (typeof name === 'string') seen.add(name);
        return this.watch(Reflect.get(target, name));
      },
    });
  }

  /** Paths of the fields that were never looked at, below the first such field none. */
  unseen(value: unknown, path = ''): string[] {
    if (typeof value !== 'object' || value === null) return [];
    const seen = this.seen.get(value);
    return Object.entries(value).flatMap(([name, field]) => {
      const here = `${path}/${name}`;
      return seen?.has(name) === true ? this.unseen(field, here) : [here];
    });
  }
}
