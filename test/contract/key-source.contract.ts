import { beforeEach, describe, expect, it } from 'vitest';
import type { KeyRecord } from '../../src/domain/key-record.js';
import { ALL_PERMISSIONS, Permission } from '../../src/domain/permissions.js';
import type { KeyHash } from '../../src/domain/raw-key.js';
import { BULK_READ_MAX, type BulkSource } from '../../src/ports/bulk-source.js';
import { keyHashOf, keyRecord } from '../support/fakes/builders.js';

/** A source of keys and the means to change what it reads from. */
export interface KeySourceFixture {
  readonly source: BulkSource<KeyHash, KeyRecord>;
  put(keyHash: KeyHash, record: KeyRecord): Promise<void>;
  remove(keyHash: KeyHash): Promise<void>;
}

const id = (number: number) => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;

/** What every `BulkSource<KeyHash, KeyRecord>` promises. */
export function keySourceContract(name: string, make: () => Promise<KeySourceFixture>): void {
  describe(`${name} as a source of keys`, () => {
    let fixture: KeySourceFixture;
    beforeEach(async () => {
      fixture = await make();
    });

    it('answers in the order of the question, null where there is no key', async () => {
      const one = keyRecord({ id: id(1), accountId: 'a' });
      const two = keyRecord({ id: id(2), accountId: 'b', workflowId: 'w', permissions: Permission.READ });
      await fixture.put(keyHashOf(1), one);
      await fixture.put(keyHashOf(2), two);
      expect(await fixture.source.readMany([keyHashOf(2), keyHashOf(3), keyHashOf(1)])).toEqual([two, null, one]);
    });

    it('answers nothing to no question', async () => {
      expect(await fixture.source.readMany([])).toEqual([]);
    });

    it('keeps every field of a key, an end without a date and a revocation included', async () => {
      const records = [
        keyRecord({ id: id(1), appId: 'app', expiresAtMs: 1_900_000_000_123 }),
        keyRecord({ id: id(2), revoked: true, permissions: Permission.READ | Permission.WRITE }),
        keyRecord({ id: id(3), permissions: ALL_PERMISSIONS, workflowId: 'Wörk "flow\' 😀' }),
      ];
      for (const [at, record] of records.entries()) await fixture.put(keyHashOf(at), record);
      expect(await fixture.source.readMany(records.map((_, at) => keyHashOf(at)))).toEqual(records);
    });

    it('gives records one order of properties', async () => {
      await fixture.put(keyHashOf(1), keyRecord());
      const [record] = await fixture.source.readMany([keyHashOf(1)]);
      expect(Object.keys(record ?? {})).toEqual(Object.keys(keyRecord()));
    });

    it('sees what was committed before the question', async () => {
      await fixture.put(keyHashOf(1), keyRecord({ id: id(1) }));
      await fixture.source.readMany([keyHashOf(1)]);
      await fixture.put(keyHashOf(1), keyRecord({ id: id(1), revoked: true }));
      expect((await fixture.source.readMany([keyHashOf(1)]))[0]?.revoked).toBe(true);
      await fixture.remove(keyHashOf(1));
      expect(await fixture.source.readMany([keyHashOf(1)])).toEqual([null]);
    });

    it(`answers ${BULK_READ_MAX} keys at once`, async () => {
      await fixture.put(keyHashOf(7), keyRecord());
      const asked = Array.from({ length: BULK_READ_MAX }, (_, number) => keyHashOf(number));
      const answers = await fixture.source.readMany(asked);
      expect(answers.flatMap((record, at) => (record === null ? [] : [at]))).toEqual([7]);
    });
  });
}
