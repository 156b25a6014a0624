/**
 * A value at once when it is in memory, a promise of it otherwise.
 *
 * The hot path tests `instanceof Promise` and never pays for a microtask on a hit.
 */
export type Awaitable<T> = T | Promise<T>;
