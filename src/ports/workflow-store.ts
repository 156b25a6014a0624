import type { Awaitable } from './awaitable.js';
import type { LeaseToken } from './lease.js';

/** Finds the account that owns a workflow. Same contract as `KeyStore`. */
export interface WorkflowStore {
  ownerOf(workflowId: string): Awaitable<string | null>;
  /** As `KeyStore.recall`. */
  recall?(workflowId: string, lease: LeaseToken): string | null | undefined;
}
