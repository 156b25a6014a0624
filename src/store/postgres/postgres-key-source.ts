import { Failure } from '../../domain/failure.js';
import type { KeyRecord } from '../../domain/key-record.js';
import { type KeyHash, keyHashToBytes } from '../../domain/raw-key.js';
import type { BulkSource } from '../../ports/bulk-source.js';
import type { Logger } from '../../ports/logger.js';
import { FIND_KEY, FIND_KEYS } from './queries.js';
import { keyRecordOf } from './rows.js';
import type { QueryRunner } from './run-query.js';

/** Reads keys by hash from the primary, many in one statement. A standby rejects with `unavailable`. */
export class PostgresKeySource implements BulkSource<KeyHash, KeyRecord> {
  constructor(
    private readonly runner: QueryRunner,
    private readonly logger: Logger,
  ) {}

  async readMany(keyHashes: readonly KeyHash[]): Promise<readonly (KeyRecord | null)[]> {
    if (keyHashes.length === 0) return [];
    const hashes = keyHashes.map(keyHashToBytes);
    const rows = await (hashes.length === 1 ? this.runner.run(FIND_KEY, hashes) : this.runner.run(FIND_KEYS, [hashes]));
    const found = new Map<KeyHash, KeyRecord>();
    for (const row of rows) {
      if (row.key_hash === null) throw new Failure('unavailable', 'The database is a standby; it cannot be asked.');
      try {
        const { keyHash, record } = keyRecordOf(row);
        found.set(keyHash, record);
      } catch (error) {
        // Denies: a row that cannot be read is no key.
        this.logger.error('a row of api_keys cannot be read; the key is treated as unknown', {
          keyId: row.id,
          error,
        });
      }
    }
    return keyHashes.map((keyHash) => found.get(keyHash) ?? null);
  }
}
