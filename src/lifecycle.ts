import type { Awaitable } from './ports/awaitable.js';
import type { Timers } from './ports/clock.js';
import { whenAborted } from './ports/when-aborted.js';

/**
 * Closes one thing that was opened.
 *
 * @param forced aborted once patience has run out, possibly already when it is called: whatever is still open must then
 * be torn down at once. A cleanup that does not settle within {@link FORCED_CLEANUP_MS} of that is left behind.
 */
export type Cleanup = (forced: AbortSignal) => Awaitable<void>;

/** How long, in ms, one cleanup may still take after it was told to use force. */
export const FORCED_CLEANUP_MS = 1000;

/** Thrown by {@link CleanupStack.defer} when the stack is being unwound already: the start that called it must end. */
export class StoppedWhileStarting extends Error {
  override readonly name = 'StoppedWhileStarting';

  constructor() {
    super('stopped before the start was complete');
  }
}

/**
 * What has to be closed, in the order in which it was opened; closed in the reverse order.
 *
 * Unwinding is graceful until a deadline and forced after it, tries every cleanup whatever the others do, and happens
 * once however often it is asked for. Nothing that was deferred is ever forgotten, not even by a start that was
 * overtaken by a stop.
 */
export class CleanupStack {
  private readonly entries: { readonly name: string; readonly cleanup: Cleanup }[] = [];
  private readonly failures: Error[] = [];
  private readonly force = new AbortController();
  private unwinding: Promise<void> | undefined;
  private emptied = false;

  constructor(private readonly timers: Timers) {}

  /**
   * Adds a cleanup on top. During or after an unwinding it is still run, and then {@link StoppedWhileStarting} is
   * thrown.
   */
  defer(name: string, cleanup: Cleanup): void {
    this.entries.push({ name, cleanup });
    if (this.unwinding === undefined) return;
    // Whoever unwound has been answered, so that a failure here has nobody left to tell.
    if (this.emptied) void this.runAll();
    throw new StoppedWhileStarting();
  }

  /**
   * Runs `start`; when it fails, unwinds what it had deferred and rejects with its error (joined with those of the
   * cleanups, if any).
   */
  async guard<T>(deadlineMs: number, start: () => Promise<T>): Promise<T> {
    try {
      return await start();
    } catch (error) {
      try {
        await this.unwind(deadlineMs);
      } catch (cleanupError) {
        throw new AggregateError([error, cleanupError], messageOf(error), { cause: error });
      }
      throw error;
    }
  }

  /**
   * Closes everything, last in first out. Force is used from `deadlineMs` on, counted from the first call. Later calls
   * answer as the first one does.
   *
   * Rejects with an `AggregateError` after everything was tried, if anything failed or did not end in time.
   */
  unwind(deadlineMs: number): Promise<void> {
    this.unwinding ??= this.unwindOnce(deadlineMs);
    return this.unwinding;
  }

  /** Ends patience now: the cleanup that is running, and those still to come, use force. */
  forceNow(): void {
    this.force.abort();
  }

  private async unwindOnce(deadlineMs: number): Promise<void> {
    const cancel = this.timers.after(deadlineMs, () => this.forceNow());
    try {
      await this.runAll();
    } finally {
      cancel();
      this.emptied = true;
    }
    if (this.failures.length > 0) {
      throw new AggregateError(this.failures, this.failures.map((failure) => failure.message).join('; '));
    }
  }

  private async runAll(): Promise<void> {
    for (let entry = this.entries.pop(); entry !== undefined; entry = this.entries.pop()) {
      try {
        await this.within(entry.cleanup);
      } catch (error) {
        this.failures.push(new Error(`${entry.name}: ${messageOf(error)}`, { cause: error }));
      }
    }
  }

  /** Settles with the cleanup, or rejects when it outlives the use of force. */
  private async within(cleanup: Cleanup): Promise<void> {
    const forced = this.force.signal;
    let cancel = (): void => {};
    let onForce = (): void => {};
    const abandoned = new Promise<never>((_, reject) => {
      onForce = () => {
        cancel = this.timers.after(FORCED_CLEANUP_MS, () => reject(new Error('did not close in time')));
      };
      whenAborted(forced, onForce);
    });
    try {
      // In an async function, so that a synchronous throw is a rejection too.
      await Promise.race([(async () => cleanup(forced))(), abandoned]);
    } finally {
      forced.removeEventListener('abort', onForce);
      cancel();
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
