import type { CancelTimer, Timers } from '../../ports/clock.js';
import type { Logger } from '../../ports/logger.js';
import { pruneEvents } from './prune-events.js';
import type { QueryRunner } from './run-query.js';

/** How long, in ms, between two deletions of old events. */
const INTERVAL_MS = 3_600_000;

/** Deletes old events every hour, for as long as the process lives. Every sidecar does; any one of them is enough. */
export class EventPruning {
  private cancel: CancelTimer = () => {};
  private stopped = false;

  constructor(
    private readonly runner: QueryRunner,
    private readonly timers: Timers,
    private readonly logger: Logger,
  ) {}

  start(): void {
    if (this.stopped) return;
    this.cancel = this.timers.after(INTERVAL_MS, () => {
      void pruneEvents(this.runner)
        .then((pruned) => this.logger.debug('old events deleted', { pruned }))
        .catch((error: unknown) =>
          this.logger.warn('old events could not be deleted; the next try is in an hour', { error }),
        )
        .finally(() => this.start());
    });
  }

  stop(): void {
    this.stopped = true;
    this.cancel();
  }
}
