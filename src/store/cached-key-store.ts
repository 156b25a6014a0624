import type { HistoryEvent } from '../domain/history-event.js';
import type { KeyRecord } from '../domain/key-record.js';
import type { KeyHash } from '../domain/raw-key.js';
import type { Awaitable } from '../ports/awaitable.js';
import type { CacheControl } from '../ports/cache-control.js';
import type { KeyStore } from '../ports/key-store.js';
import type { Lease, LeaseToken } from '../ports/lease.js';
import type { Metrics } from '../ports/metrics.js';
import { ALL_PROTECTIONS, type Protections } from '../ports/protections.js';
import type { SingleReads } from '../ports/single-reads.js';
import { LeasedCache } from './leased-cache.js';
import { StringPool } from './string-pool.js';

/** What {@link CachedKeyStore} is made of. */
export interface CachedKeyStoreParts {
  readonly reads: SingleReads<KeyHash, KeyRecord>;
  readonly lease: Lease;
  readonly metrics: Metrics;
  /** Most keys, and apart from them most unknown hashes, to remember. */
  readonly maxKeys: number;
}

/** One string is pooled for so many keys: where nothing comes twice, the pool costs a key less than 20 bytes. */
const POOLED_SHARE = 4;

/** Finds keys in memory under a lease, in the database otherwise; see {@link LeasedCache}. */
export class CachedKeyStore implements KeyStore, CacheControl {
  private readonly cache: LeasedCache<KeyRecord>;
  /** Accounts have several keys and workflows several users: their ids are half of what a key would take. */
  private readonly pool: StringPool;

  constructor(parts: CachedKeyStoreParts, protections: Protections = ALL_PROTECTIONS) {
    const pool = new StringPool(Math.ceil(parts.maxKeys / POOLED_SHARE));
    this.pool = pool;
    this.cache = new LeasedCache<KeyRecord>(
      {
        reads: parts.reads as SingleReads<string, KeyRecord>,
        lease: parts.lease,
        metrics: parts.metrics,
        source: 'keys',
        presentName: 'keys',
        absentName: 'unknown_keys',
        maxPresent: parts.maxKeys,
        maxAbsent: parts.maxKeys,
        compact: (key) => ({
          id: key.id,
          accountId: pool.share(key.accountId),
          workflowId: pool.share(key.workflowId),
          permissions: key.permissions,
          appId: pool.share(key.appId),
          expiresAtMs: key.expiresAtMs,
          revoked: key.revoked,
        }),
      },
      protections,
    );
  }

  find(keyHash: KeyHash): Awaitable<KeyRecord | null> {
    return this.cache.find(keyHash);
  }

  recall(keyHash: KeyHash, lease: LeaseToken): KeyRecord | null | undefined {
    return this.cache.recall(keyHash, lease);
  }

  apply(event: HistoryEvent): void {
    switch (event.kind) {
      case 'key-created':
      case 'key-changed':
      case 'key-revoked':
      case 'key-deleted':
        // A creation too: it ends what is remembered of the hash being unknown.
        if (event.keyHash === null) this.cache.forgetAll();
        else this.cache.forget(event.keyHash);
        return;
      case 'workflow-changed':
        return;
      default:
        // `everything-changed`, and any kind that a later version of the database may write.
        this.cache.forgetAll();
    }
  }

  forgetAll(): void {
    this.pool.clear();
    this.cache.forgetAll();
  }
}
