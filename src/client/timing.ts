/**
 * Clock and timers of the client. It runs inside somebody else's program and so cannot be given the server's.
 */

/** Milliseconds of a clock that never steps. */
export function monotonicMs(): number {
  return performance.now();
}

/** The instant `leftMs` from now, by the wall clock, in which gRPC takes its deadlines. */
export function deadlineIn(leftMs: number): Date {
  return new Date(Date.now() + leftMs);
}

/** Calls `run` after `delayMs`; the returned function prevents it. The timer does not keep the program alive. */
export function after(delayMs: number, run: () => void): () => void {
  const timer = setTimeout(run, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
}

/** Resolves after `delayMs`, or at once when the signal aborts. Keeps the program alive: somebody waits for an answer. */
export function pause(delayMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    signal?.addEventListener('abort', done, { once: true });
  });
}
