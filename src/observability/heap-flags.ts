import { setFlagsFromString } from 'node:v8';

/**
 * How V8 is to keep the heap of the whole process. Why, with figures: docs/decisions/0015.
 *
 * - What a call leaves behind is dead within milliseconds. V8 may guess otherwise after a quiet stretch, and then allocates
 *   some of it among what lives long, from where it keeps the rest of the call alive too: never guess.
 * - What really is left there (header values of HTTP/2 are strings outside of the heap) is freed in one pause, which
 *   grows with their number: collect when the heap has doubled, not when it is four times as large.
 */
export const HEAP_FLAGS = ['--no-allocation-site-pretenuring', '--heap-growing-percent=100'] as const;

/** Sets them. To be called once, first of all. */
export function setHeapFlags(): void {
  for (const flag of HEAP_FLAGS) setFlagsFromString(flag);
}
