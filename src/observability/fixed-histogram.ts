/** One sample of a metric, as prom-client's registries exchange them. */
export interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly metricName: string;
}

/** What prom-client's registries ask of a metric at scrape time. */
export interface CollectedMetric {
  readonly name: string;
  readonly help: string;
  readonly type: 'histogram';
  readonly values: readonly Sample[];
  readonly aggregator: 'sum';
}

/**
 * A histogram whose one label has values that are known beforehand.
 *
 * `observe` is a loop over a few numbers in a typed array: no label object, no hash, no allocation. A label object is
 * built at scrape time only.
 */
export class FixedHistogram {
  readonly type = 'histogram';
  readonly aggregator = 'sum';
  readonly labelNames: readonly string[];
  /** Counts by label value, and by bucket within one; the last bucket of each is +Inf. Not cumulative. */
  private readonly counts: Float64Array;
  private readonly sums: Float64Array;
  private readonly bounds: Float64Array;
  private readonly width: number;

  /** @param bounds upper bounds of the buckets, ascending, without +Inf */
  constructor(
    readonly name: string,
    readonly help: string,
    private readonly labelName: string,
    private readonly labelValues: readonly string[],
    bounds: readonly number[],
  ) {
    this.labelNames = [labelName];
    this.bounds = Float64Array.from(bounds);
    this.width = bounds.length + 1;
    this.counts = new Float64Array(labelValues.length * this.width);
    this.sums = new Float64Array(labelValues.length);
  }

  /** @param labelIndex place of the label's value in the list given at construction */
  observe(labelIndex: number, value: number): void {
    const bounds = this.bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket++;
    const at = labelIndex * this.width + bucket;
    this.counts[at] = (this.counts[at] as number) + 1;
    this.sums[labelIndex] = (this.sums[labelIndex] as number) + value;
  }

  /** Everything observed so far. */
  get(): CollectedMetric {
    const values: Sample[] = [];
    this.labelValues.forEach((labelValue, index) => {
      let cumulative = 0;
      for (let bucket = 0; bucket < this.width; bucket++) {
        cumulative += this.counts[index * this.width + bucket] as number;
        const le = bucket < this.bounds.length ? (this.bounds[bucket] as number) : '+Inf';
        values.push({
          labels: { le, [this.labelName]: labelValue },
          value: cumulative,
          metricName: `${this.name}_bucket`,
        });
      }
      const labels = { [this.labelName]: labelValue };
      values.push({ labels, value: this.sums[index] as number, metricName: `${this.name}_sum` });
      values.push({ labels, value: cumulative, metricName: `${this.name}_count` });
    });
    return { name: this.name, help: this.help, type: this.type, values, aggregator: this.aggregator };
  }

  /** Forgets everything; part of what a registry may ask. */
  reset(): void {
    this.counts.fill(0);
    this.sums.fill(0);
  }
}
