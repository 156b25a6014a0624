import { describe, expect, it } from 'vitest';
import type { HistoryEvent, HistoryEventKind } from '../../src/domain/history-event.js';
import { REMEMBERED_ID_MAX } from '../../src/store/cached-workflow-store.js';
import { historyEvent, keyHashOf, keyRecord } from '../support/fakes/builders.js';
import { MemoryStack } from '../support/fakes/memory-stack.js';

const HASH = keyHashOf(1);
const OTHER = keyHashOf(2);

/** A stack that remembers two keys and the owners of two workflows. */
async function filledStack(): Promise<MemoryStack> {
  const stack = new MemoryStack();
  stack.keySource.set(HASH, keyRecord());
  stack.keySource.set(OTHER, keyRecord({ id: '22222222-2222-4222-8222-222222222222' }));
  stack.workflowSource.set('w-1', 'account-a');
  stack.workflowSource.set('w-2', 'account-a');
  await Promise.all([HASH, OTHER].map((hash) => stack.keys.find(hash)));
  await Promise.all(['w-1', 'w-2'].map((id) => stack.workflows.ownerOf(id)));
  return stack;
}

/** Which of the four are still in memory: keys 1 and 2, workflows 1 and 2. */
function remembered(stack: MemoryStack): readonly boolean[] {
  const lease = stack.lease.held();
  return [
    stack.keys.recall(HASH, lease),
    stack.keys.recall(OTHER, lease),
    stack.workflows.recall('w-1', lease),
    stack.workflows.recall('w-2', lease),
  ].map((value) => value !== undefined);
}

function apply(stack: MemoryStack, event: HistoryEvent): void {
  stack.keys.apply(event);
  stack.workflows.apply(event);
}

describe('the cached stores', () => {
  it('remember keys exactly as they were read', async () => {
    const stack = await filledStack();
    expect(stack.keys.find(HASH)).toEqual(keyRecord());
  });

  it.each(['key-created', 'key-changed', 'key-revoked', 'key-deleted'] as const)(
    'forget the one key of a %s event',
    async (kind) => {
      const stack = await filledStack();
      apply(stack, historyEvent(kind, { keyHash: HASH }));
      expect(remembered(stack)).toEqual([false, true, true, true]);
    },
  );

  it('forget the one workflow of a workflow-changed event', async () => {
    const stack = await filledStack();
    apply(stack, historyEvent('workflow-changed', { workflowId: 'w-1' }));
    expect(remembered(stack)).toEqual([true, true, false, true]);
  });

  it.each(['everything-changed', 'something-new'])('forget everything after %s', async (kind) => {
    const stack = await filledStack();
    apply(stack, historyEvent(kind as HistoryEventKind));
    expect(remembered(stack)).toEqual([false, false, false, false]);
  });

  it('forget all keys when a key event does not say which, and all workflows likewise', async () => {
    const stack = await filledStack();
    apply(stack, historyEvent('key-revoked'));
    expect(remembered(stack)).toEqual([false, false, true, true]);
    apply(stack, historyEvent('workflow-changed'));
    expect(remembered(stack)).toEqual([false, false, false, false]);
  });

  it('find a key that was created after it was remembered as unknown', async () => {
    const stack = new MemoryStack();
    expect(await stack.keys.find(HASH)).toBeNull();
    expect(stack.keys.find(HASH)).toBeNull();
    stack.keySource.set(HASH, keyRecord());
    apply(stack, historyEvent('key-created', { keyHash: HASH }));
    expect(await stack.keys.find(HASH)).toEqual(keyRecord());
  });

  it('read the owner of a workflow with a very long id every time, and remember nothing of it', async () => {
    const stack = new MemoryStack();
    const long = 'w'.repeat(REMEMBERED_ID_MAX + 1);
    stack.workflowSource.set(long, 'account-a');
    for (let i = 0; i < 2; i++) expect(await stack.workflows.ownerOf(long)).toBe('account-a');
    expect(stack.workflows.recall(long, stack.lease.held())).toBeUndefined();
    expect(stack.metrics.count('load')).toBe(2);
  });

  it('tell apart ids that differ only in characters that no encoding keeps', async () => {
    const stack = new MemoryStack();
    stack.workflowSource.set('w-\ud800', 'account-a');
    expect(await stack.workflows.ownerOf('w-\ud800')).toBe('account-a');
    expect(await stack.workflows.ownerOf('w-\ufffd')).toBeNull();
    expect(stack.workflows.recall('w-\ud800', stack.lease.held())).toBe('account-a');
  });

  it('measure every statement that reads', async () => {
    const stack = await filledStack();
    expect(stack.metrics.of('load').map(([source, keys, , outcome]) => [source, keys, outcome])).toEqual([
      ['keys', 2, 'ok'],
      ['workflows', 2, 'ok'],
    ]);
  });
});
