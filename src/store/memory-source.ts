import type { BulkSource } from '../ports/bulk-source.js';

/** A source in memory: the reference for what `BulkSource` promises, and a stand-in for a database in tests. */
export class MemorySource<K, V> implements BulkSource<K, V> {
  private readonly values = new Map<K, V>();

  set(key: K, value: V): void {
    this.values.set(key, value);
  }

  delete(key: K): void {
    this.values.delete(key);
  }

  async readMany(keys: readonly K[]): Promise<readonly (V | null)[]> {
    return keys.map((key) => this.values.get(key) ?? null);
  }
}
