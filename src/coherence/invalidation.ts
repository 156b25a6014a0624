import type { HistoryEvent } from '../domain/history-event.js';
import type { CacheControl } from '../ports/cache-control.js';

/**
 * Everything that must learn of a change, as one: each is told, in order, before the call returns.
 *
 * List caches before publishers: a watcher that hears of a revocation may ask at once, and must not find the old answer.
 */
export class Invalidation implements CacheControl {
  constructor(private readonly controls: readonly CacheControl[]) {}

  apply(event: HistoryEvent): void {
    for (const control of this.controls) control.apply(event);
  }

  forgetAll(): void {
    for (const control of this.controls) control.forgetAll();
  }
}
