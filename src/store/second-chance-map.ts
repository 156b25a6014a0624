/**
 * A map of bounded size that forgets, when it is full, what has not been used for longest, or nearly so: the second
 * chance algorithm ("CLOCK").
 *
 * Entries stand in a ring. A hit only marks its entry, one byte, where a list ordered by use would rewrite the places
 * of three entries; that is most of the cost of a hit once the entries no longer fit into the processor's caches. To
 * make room a hand goes round, takes the mark off each marked entry and evicts the first that has none.
 */
export class SecondChanceMap<V extends {}> {
  private readonly slotOf = new Map<string, number>();
  /** By slot; an empty slot holds `undefined` in both and is listed in `free`. */
  private readonly keys: (string | undefined)[] = [];
  private readonly values: (V | undefined)[] = [];
  private readonly used: Uint8Array;
  private readonly stamps: Float64Array | null;
  private readonly free: number[] = [];
  private hand = 0;

  /**
   * @param max most entries; at least 1
   * @param onEvict called for each entry that has to make room, not for one that is deleted
   * @param stamped whether each entry has a stamp; 8 more bytes each
   */
  constructor(
    private readonly max: number,
    private readonly onEvict: () => void,
    stamped: boolean,
  ) {
    if (!Number.isSafeInteger(max) || max < 1) throw new RangeError(`a map holds at least one entry, not ${max}`);
    this.used = new Uint8Array(max);
    this.stamps = stamped ? new Float64Array(max) : null;
  }

  get size(): number {
    return this.slotOf.size;
  }

  /** @param notBefore in a stamped map: an entry whose stamp is no higher is deleted instead of answered */
  get(key: string, notBefore = Number.NEGATIVE_INFINITY): V | undefined {
    const slot = this.slotOf.get(key);
    if (slot === undefined) return undefined;
    if (this.stamps !== null && (this.stamps[slot] as number) <= notBefore) {
      this.delete(key);
      return undefined;
    }
    this.used[slot] = 1;
    return this.values[slot];
  }

  set(key: string, value: V, stamp = 0): void {
    let slot = this.slotOf.get(key);
    if (slot === undefined) {
      slot = this.free.pop() ?? (this.keys.length < this.max ? this.keys.length : this.evict());
      this.slotOf.set(key, slot);
      this.keys[slot] = key;
      this.used[slot] = 0;
    }
    this.values[slot] = value;
    if (this.stamps !== null) this.stamps[slot] = stamp;
  }

  delete(key: string): void {
    const slot = this.slotOf.get(key);
    if (slot === undefined) return;
    this.slotOf.delete(key);
    this.empty(slot);
    this.free.push(slot);
  }

  clear(): void {
    this.slotOf.clear();
    this.keys.length = 0;
    this.values.length = 0;
    this.free.length = 0;
    this.hand = 0;
  }

  /** Empties a slot and returns it. Every slot is taken when this is called. */
  private evict(): number {
    while (this.used[this.hand] === 1) {
      this.used[this.hand] = 0;
      this.advance();
    }
    const slot = this.hand;
    this.slotOf.delete(this.keys[slot] as string);
    this.empty(slot);
    this.advance();
    this.onEvict();
    return slot;
  }

  private empty(slot: number): void {
    this.keys[slot] = undefined;
    this.values[slot] = undefined;
  }

  private advance(): void {
    this.hand = this.hand + 1 === this.max ? 0 : this.hand + 1;
  }
}
