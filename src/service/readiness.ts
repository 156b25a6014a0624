/** Something that must be proven before the process may take traffic. */
export type Component = 'database' | 'grpc' | 'http' | 'lease';

/** State of each component, for `/readyz` and gRPC health. */
export type ReadinessReport = Readonly<Record<string, boolean>>;

/**
 * Which components are proven. Each starts unproven; draining overrides them all and cannot be taken back.
 *
 * A lost lease or database does not end readiness by itself once proven: decisions then read the database, or fail
 * with a status of their own, and taking every replica out at once would turn a slow database into an outage.
 */
export class Readiness {
  private readonly state = new Map<Component, boolean>();
  private readonly dispensable = new Set<Component>();
  private readonly listeners = new Set<(ready: boolean) => void>();
  private draining = false;

  constructor(components: readonly Component[]) {
    for (const component of components) this.state.set(component, false);
  }

  /** Reports whether all components are proven and the process is not draining. */
  get ready(): boolean {
    return !this.draining && [...this.state].every(([component, proven]) => proven || this.dispensable.has(component));
  }

  /** Each component, and `draining`. */
  get report(): ReadinessReport {
    return { ...Object.fromEntries(this.state), draining: this.draining };
  }

  /** Marks a component. Unknown components are a programming error. */
  mark(component: Component, proven: boolean): void {
    if (!this.state.has(component)) throw new RangeError(`no component ${component}`);
    this.change(() => this.state.set(component, proven));
  }

  /** Has the process take traffic although this component is not proven; the report goes on to say so. */
  doWithout(component: Component): void {
    this.change(() => this.dispensable.add(component));
  }

  /** Ends readiness for good: the process is about to stop. */
  drain(): void {
    this.change(() => {
      this.draining = true;
    });
  }

  /** Calls `listener` at once and after each change. Returns its removal. */
  subscribe(listener: (ready: boolean) => void): () => void {
    this.listeners.add(listener);
    listener(this.ready);
    return () => this.listeners.delete(listener);
  }

  private change(apply: () => void): void {
    const before = this.ready;
    apply();
    if (this.ready !== before) for (const listener of this.listeners) listener(this.ready);
  }
}
