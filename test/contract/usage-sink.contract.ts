import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import type { UsageSink } from '../../src/ports/key-usage.js';

/** A sink with a key and a revoked key. */
export interface UsageSinkFixture {
  readonly sink: UsageSink;
  readonly keyId: string;
  readonly otherKeyId: string;
  readonly revokedKeyId: string;
  /** What is stored for a key, ms since the Unix epoch; `null`: nothing. */
  lastUsedMs(keyId: string): Promise<number | null>;
}

/** What every `UsageSink` promises. */
export function usageSinkContract(name: string, make: () => Promise<UsageSinkFixture>): void {
  describe(`${name} as a usage sink`, () => {
    let fixture: UsageSinkFixture;
    beforeEach(async () => {
      fixture = await make();
    });

    it('stores the latest use of each key', async () => {
      const { sink, keyId, otherKeyId } = fixture;
      await sink.write([
        { keyId, atMs: 1_000_000_000_001 },
        { keyId: otherKeyId, atMs: 1_000_000_000_002 },
      ]);
      expect(await fixture.lastUsedMs(keyId)).toBe(1_000_000_000_001);
      expect(await fixture.lastUsedMs(otherKeyId)).toBe(1_000_000_000_002);
    });

    it('never moves a time backwards', async () => {
      const { sink, keyId } = fixture;
      await sink.write([{ keyId, atMs: 5_000 }]);
      await sink.write([{ keyId, atMs: 4_000 }]);
      expect(await fixture.lastUsedMs(keyId)).toBe(5_000);
    });

    it('takes the latest of a key that is named twice', async () => {
      const { sink, keyId } = fixture;
      await sink.write([
        { keyId, atMs: 3_000 },
        { keyId, atMs: 7_000 },
        { keyId: keyId.toUpperCase(), atMs: 5_000 },
      ]);
      expect(await fixture.lastUsedMs(keyId)).toBe(7_000);
    });

    it('leaves revoked, unknown and malformed keys alone, and still stores the others', async () => {
      const { sink, keyId, revokedKeyId } = fixture;
      const unknown = randomUUID();
      await sink.write([
        { keyId: revokedKeyId, atMs: 1_000 },
        { keyId: unknown, atMs: 1_000 },
        { keyId: "'; DROP TABLE latchkey.api_keys; --", atMs: 1_000 },
        { keyId, atMs: 1_000 },
        { keyId: fixture.otherKeyId, atMs: Number.NaN },
      ]);
      expect(await fixture.lastUsedMs(revokedKeyId)).toBeNull();
      expect(await fixture.lastUsedMs(unknown)).toBeNull();
      expect(await fixture.lastUsedMs(fixture.otherKeyId)).toBeNull();
      expect(await fixture.lastUsedMs(keyId)).toBe(1_000);
    });

    it('does nothing for nothing', async () => {
      await expect(fixture.sink.write([])).resolves.toBeUndefined();
    });

    it('never deadlocks with another writer of the same keys in another order', async () => {
      const { sink, keyId, otherKeyId } = fixture;
      const uses = [keyId, otherKeyId];
      await Promise.all(
        Array.from({ length: 20 }, (_, round) =>
          sink.write((round % 2 === 0 ? uses : [...uses].reverse()).map((id) => ({ keyId: id, atMs: 1_000 + round }))),
        ),
      );
      expect(await fixture.lastUsedMs(keyId)).toBe(1_019);
      expect(await fixture.lastUsedMs(otherKeyId)).toBe(1_019);
    });
  });
}
