import { Failure } from '../domain/failure.js';
import type { BulkSource } from '../ports/bulk-source.js';
import type { Clock } from '../ports/clock.js';
import type { Metrics, SourceName } from '../ports/metrics.js';

/** Counts every statement of a source, how many keys it read, how long it took and how it ended. */
export class ObservedSource<K, V> implements BulkSource<K, V> {
  constructor(
    private readonly source: BulkSource<K, V>,
    private readonly name: SourceName,
    private readonly metrics: Metrics,
    private readonly clock: Clock,
  ) {}

  async readMany(keys: readonly K[]): Promise<readonly (V | null)[]> {
    const startedMs = this.clock.monotonicMs();
    try {
      const values = await this.source.readMany(keys);
      this.metrics.load(this.name, keys.length, (this.clock.monotonicMs() - startedMs) / 1000, 'ok');
      return values;
    } catch (error) {
      const failure = Failure.from(error);
      this.metrics.load(this.name, keys.length, (this.clock.monotonicMs() - startedMs) / 1000, failure.kind);
      throw failure;
    }
  }
}
