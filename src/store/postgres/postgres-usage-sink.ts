import type { KeyUse, UsageSink } from '../../ports/key-usage.js';
import { WRITE_USAGE } from './queries.js';
import { isUuid } from './rows.js';
import type { QueryRunner } from './run-query.js';

/** Writes "last used" to `latchkey.key_usage`, one statement a call. */
export class PostgresUsageSink implements UsageSink {
  constructor(private readonly runner: QueryRunner) {}

  async write(uses: readonly KeyUse[]): Promise<void> {
    const latest = new Map<string, number>();
    for (const { keyId, atMs } of uses) {
      if (!isUuid(keyId) || !Number.isFinite(atMs)) continue;
      const id = keyId.toLowerCase();
      latest.set(id, Math.max(atMs, latest.get(id) ?? Number.NEGATIVE_INFINITY));
    }
    if (latest.size === 0) return;
    await this.runner.run(WRITE_USAGE, [[...latest.keys()], [...latest.values()]]);
  }
}
