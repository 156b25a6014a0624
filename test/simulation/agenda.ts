interface Entry {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** More turns than the longest chain of promises between a read's answer and the one who asked. */
const MICROTASK_TURNS = 16;

/** True time, and everything that is going to happen: the only thing that moves the simulated world. */
export class Agenda {
  private readonly heap: Entry[] = [];
  private order = 0;
  private time = 0;
  private promised = false;

  /** True time, ms. No process sees it. */
  get nowMs(): number {
    return this.time;
  }

  /** Runs `run` in `delayMs` of true time; entries of one instant run in the order in which they were made. */
  after(delayMs: number, run: () => void): void {
    const entry: Entry = { atMs: this.time + Math.max(0, delayMs), order: this.order++, run };
    const { heap } = this;
    let index = heap.length;
    heap.push(entry);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent] as Entry;
      if (before(above, entry)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = entry;
  }

  /** Says that this step settled a promise: what waits for it runs before the next step. */
  settled(): void {
    this.promised = true;
  }

  /** Runs what is due up to `untilMs`, then stands there. */
  async runUntil(untilMs: number): Promise<void> {
    for (;;) {
      const first = this.heap[0];
      if (first === undefined || first.atMs > untilMs) break;
      this.removeFirst();
      this.time = first.atMs;
      first.run();
      if (!this.promised) continue;
      this.promised = false;
      for (let turn = 0; turn < MICROTASK_TURNS; turn++) await undefined;
    }
    this.time = untilMs;
  }

  private removeFirst(): void {
    const { heap } = this;
    const last = heap.pop() as Entry;
    const size = heap.length;
    if (size === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= size) break;
      if (child + 1 < size && before(heap[child + 1] as Entry, heap[child] as Entry)) child += 1;
      const below = heap[child] as Entry;
      if (before(last, below)) break;
      heap[index] = below;
      index = child;
    }
    heap[index] = last;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
