import type { FastifyInstance } from 'fastify';
import findMyWay from 'find-my-way';

/** The methods that an address knows; empty when there is nothing at it. */
export type AllowedMethods = (url: string) => readonly string[];

/**
 * Watches the routes that are added to `app` from now on, so that a wrong method can be told from a wrong address.
 * Call before any route is added.
 */
export function watchAllowedMethods(app: FastifyInstance): AllowedMethods {
  const router = findMyWay();
  const byTemplate = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const methods = [method].flat().filter((name) => name !== 'OPTIONS');
    if (methods.length === 0) return;
    let known = byTemplate.get(url);
    if (known === undefined) {
      known = new Set();
      byTemplate.set(url, known);
      router.on('GET', url, () => {}, known);
    }
    for (const name of methods) known.add(name);
  });
  return (url) => {
    const found = router.find('GET', url.split('?', 1)[0] ?? '');
    // `/keys/` fits `/keys/:key_id`, but no id is empty.
    if (found === null || Object.values(found.params).includes('')) return [];
    return [...(found.store as Set<string>)].sort();
  };
}
