/** Calls `run` as soon as the signal aborts: now, if it has already. A listener alone would then never be called. */
export function whenAborted(signal: AbortSignal, run: () => void): void {
  if (signal.aborted) run();
  else signal.addEventListener('abort', run, { once: true });
}
