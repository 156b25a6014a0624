import { MessageChannel } from 'node:worker_threads';
import type { Timers } from '../../ports/clock.js';

/**
 * Resolves after `delayMs`, or as soon as `signal` aborts. Unlike the timer itself it keeps the process alive meanwhile:
 * a program that waits for a server of its own is not through.
 */
export function pause(timers: Timers, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const { port1: hold } = new MessageChannel();
    hold.ref();
    const end = () => {
      cancel();
      hold.close();
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const cancel = timers.after(delayMs, end);
    signal?.addEventListener('abort', end);
  });
}
