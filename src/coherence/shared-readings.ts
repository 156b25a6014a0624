/**
 * Shares one kind of read among callers, each of whom gets an answer that was asked for after its own call began.
 *
 * At most one read is under way and one queued behind it, however many callers there are.
 */
export class SharedReadings<T> {
  private current: Promise<unknown> | null = null;
  private queued: Promise<T> | null = null;

  constructor(private readonly read: () => Promise<T>) {}

  /** Rejects as `read` does. */
  next(): Promise<T> {
    if (this.queued !== null) return this.queued;
    if (this.current === null) return this.begin();
    // Whatever becomes of the read under way, it was sent before this call and cannot serve it.
    this.queued = this.current.then(() => {
      this.queued = null;
      return this.begin();
    });
    return this.queued;
  }

  private begin(): Promise<T> {
    const reading = this.read();
    const settled = reading.then(
      () => {},
      () => {},
    );
    this.current = settled;
    void settled.then(() => {
      if (this.current === settled) this.current = null;
    });
    return reading;
  }
}
