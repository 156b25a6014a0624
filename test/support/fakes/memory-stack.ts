import type { KeyRecord } from '../../../src/domain/key-record.js';
import type { KeyHash } from '../../../src/domain/raw-key.js';
import { BatchedReads } from '../../../src/store/batched-reads.js';
import { CachedKeyStore } from '../../../src/store/cached-key-store.js';
import { CachedWorkflowStore } from '../../../src/store/cached-workflow-store.js';
import { MemorySource } from '../../../src/store/memory-source.js';
import { ObservedSource } from '../../../src/store/observed-source.js';
import { FakeClock } from './fake-clock.js';
import { FakeLease } from './fake-lease.js';
import { FakeTimers } from './fake-timers.js';
import { RecordingMetrics } from './recording-metrics.js';

/** The whole stack of stores, as the program composes it, over memory instead of a database. */
export class MemoryStack {
  readonly clock = new FakeClock();
  readonly timers = new FakeTimers(this.clock);
  readonly lease = new FakeLease().grant();
  readonly metrics = new RecordingMetrics();
  readonly keySource = new MemorySource<KeyHash, KeyRecord>();
  readonly workflowSource = new MemorySource<string, string>();
  readonly keys: CachedKeyStore;
  readonly workflows: CachedWorkflowStore;

  constructor(maxKeys = 1000) {
    const { clock, timers, lease, metrics } = this;
    this.keys = new CachedKeyStore({
      reads: new BatchedReads({
        source: new ObservedSource(this.keySource, 'keys', metrics, clock),
        name: 'keys',
        metrics,
        timers,
      }),
      lease,
      metrics,
      maxKeys,
    });
    this.workflows = new CachedWorkflowStore({
      reads: new BatchedReads({
        source: new ObservedSource(this.workflowSource, 'workflows', metrics, clock),
        name: 'workflows',
        metrics,
        timers,
      }),
      lease,
      metrics,
      maxWorkflows: maxKeys,
    });
  }
}
