import type { Awaitable } from './awaitable.js';

/** Finds the account that owns a workflow. Same contract as `KeyStore`. */
export interface WorkflowStore {
  ownerOf(workflowId: string): Awaitable<string | null>;
}
