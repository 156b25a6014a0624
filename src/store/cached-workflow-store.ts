import type { HistoryEvent } from '../domain/history-event.js';
import type { Awaitable } from '../ports/awaitable.js';
import type { CacheControl } from '../ports/cache-control.js';
import type { Clock } from '../ports/clock.js';
import type { Lease, LeaseToken } from '../ports/lease.js';
import type { Metrics } from '../ports/metrics.js';
import { ALL_PROTECTIONS, type Protections } from '../ports/protections.js';
import type { SingleReads } from '../ports/single-reads.js';
import type { WorkflowStore } from '../ports/workflow-store.js';
import { LeasedCache } from './leased-cache.js';

/**
 * Longest workflow id, in UTF-16 units, that is remembered; a longer one is read every time.
 *
 * Ids come from clients: without a bound on their length the bound on their number would not bound the memory.
 */
export const REMEMBERED_ID_MAX = 128;

/** What {@link CachedWorkflowStore} is made of. */
export interface CachedWorkflowStoreParts {
  /** Reads the account that owns a workflow. */
  readonly reads: SingleReads<string, string>;
  readonly lease: Lease;
  readonly metrics: Metrics;
  /** Most workflows, and apart from them most unknown ids, to remember. */
  readonly maxWorkflows: number;
  /** Set where `workflows` is a view, which raises no event: an owner is then believed this long at most, in ms. */
  readonly maxAge?: { readonly ms: number; readonly clock: Clock };
}

/** Finds owners of workflows in memory under a lease, in the database otherwise; see {@link LeasedCache}. */
export class CachedWorkflowStore implements WorkflowStore, CacheControl {
  private readonly reads: SingleReads<string, string>;
  private readonly metrics: Metrics;
  private readonly cache: LeasedCache<string>;

  constructor(parts: CachedWorkflowStoreParts, protections: Protections = ALL_PROTECTIONS) {
    this.reads = parts.reads;
    this.metrics = parts.metrics;
    this.cache = new LeasedCache<string>(
      {
        reads: parts.reads,
        lease: parts.lease,
        metrics: parts.metrics,
        source: 'workflows',
        presentName: 'workflows',
        absentName: 'unknown_workflows',
        maxPresent: parts.maxWorkflows,
        maxAbsent: parts.maxWorkflows,
        ...(parts.maxAge === undefined ? {} : { maxAge: parts.maxAge }),
      },
      protections,
    );
  }

  ownerOf(workflowId: string): Awaitable<string | null> {
    if (workflowId.length <= REMEMBERED_ID_MAX) return this.cache.find(ownCopy(workflowId));
    this.metrics.cacheMiss('workflows');
    return this.reads.read(workflowId).value;
  }

  recall(workflowId: string, lease: LeaseToken): string | null | undefined {
    return this.cache.recall(workflowId, lease);
  }

  apply(event: HistoryEvent): void {
    switch (event.kind) {
      case 'key-created':
      case 'key-changed':
      case 'key-revoked':
      case 'key-deleted':
        return;
      case 'workflow-changed':
        if (event.workflowId === null) this.cache.forgetAll();
        else this.cache.forget(event.workflowId);
        return;
      default:
        // `everything-changed`, and any kind that a later version of the database may write.
        this.cache.forgetAll();
    }
  }

  forgetAll(): void {
    this.cache.forgetAll();
  }
}

/**
 * Copies a string that may be a slice of a whole message, so that remembering it does not keep the message.
 *
 * By way of UTF-16, which keeps lone surrogates as they are: another encoding would change the id.
 */
function ownCopy(text: string): string {
  return Buffer.from(text, 'utf16le').toString('utf16le');
}
