import { expect, it } from 'vitest';
import { Invalidation } from '../../src/coherence/invalidation.js';
import { event } from './history-fakes.js';

it('tells everybody of an event, in order, before it returns', () => {
  const told: string[] = [];
  const control = (name: string) => ({
    apply: ({ sequence }: { sequence: bigint }) => void told.push(`${name} applies ${sequence}`),
    forgetAll: () => void told.push(`${name} forgets`),
  });
  const everybody = new Invalidation([control('cache'), control('watchers')]);
  everybody.apply(event(4));
  everybody.forgetAll();
  expect(told).toEqual(['cache applies 4', 'watchers applies 4', 'cache forgets', 'watchers forgets']);
});
