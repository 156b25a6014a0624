import { describe, expect, it } from 'vitest';
import { SharedReadings } from '../../src/coherence/shared-readings.js';
import { settle } from '../support/fakes/settle.js';

function scripted() {
  const reads: { resolve: (value: string) => void; reject: (error: Error) => void }[] = [];
  const shared = new SharedReadings(() => new Promise<string>((resolve, reject) => reads.push({ resolve, reject })));
  return { reads, shared };
}

describe('a shared reading', () => {
  it('is begun at once when none is under way', () => {
    const { reads, shared } = scripted();
    void shared.next();
    expect(reads).toHaveLength(1);
  });

  it('is given only to those who asked before it was sent', async () => {
    const { reads, shared } = scripted();
    const first = shared.next();
    const second = shared.next();
    const third = shared.next();
    expect(reads).toHaveLength(1);
    reads[0]?.resolve('old');
    expect(await first).toBe('old');
    await settle();
    expect(reads).toHaveLength(2);
    reads[1]?.resolve('new');
    expect(await Promise.all([second, third])).toEqual(['new', 'new']);
  });

  it('follows one that failed', async () => {
    const { reads, shared } = scripted();
    const first = shared.next();
    const second = shared.next();
    reads[0]?.reject(new Error('lost'));
    await expect(first).rejects.toThrow('lost');
    await settle();
    reads[1]?.resolve('found');
    expect(await second).toBe('found');
  });

  it('does not pile up: a thousand who ask during one cost one more', async () => {
    const { reads, shared } = scripted();
    const all = Array.from({ length: 1_000 }, () => shared.next());
    reads[0]?.resolve('a');
    await settle();
    reads[1]?.resolve('b');
    await Promise.all(all);
    expect(reads).toHaveLength(2);
  });
});
