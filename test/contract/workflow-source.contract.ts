import { beforeEach, describe, expect, it } from 'vitest';
import type { BulkSource } from '../../src/ports/bulk-source.js';

/** A source of owners and the means to change what it reads from. */
export interface WorkflowSourceFixture {
  readonly source: BulkSource<string, string>;
  put(workflowId: string, accountId: string): Promise<void>;
}

/** What every `BulkSource<string, string>` of workflow owners promises. */
export function workflowSourceContract(name: string, make: () => Promise<WorkflowSourceFixture>): void {
  describe(`${name} as a source of workflow owners`, () => {
    let fixture: WorkflowSourceFixture;
    beforeEach(async () => {
      fixture = await make();
      await fixture.put('w1', 'acme');
      await fixture.put('\ufffd', 'acme');
    });

    it('answers in the order of the question, null where there is no workflow', async () => {
      await fixture.put('w2', 'other');
      expect(await fixture.source.readMany(['w2', 'nope', 'w1'])).toEqual(['other', null, 'acme']);
    });

    it.each([
      ['other case', 'W1'],
      ['a space at the end', 'w1 '],
      ['a NUL', 'w1\0'],
      ['a NUL before', '\0w1'],
      ['a full-width look-alike', 'ｗ1'],
      ['a combining mark', 'w1\u0301'],
      ['SQL', "w1' OR '1'='1"],
      ['a brace and a quote', '{"w1"}'],
      ['a backslash', 'w1\\'],
      ['nothing', ''],
      ['4 KiB', 'w'.repeat(4096)],
      ['a lone surrogate, which must not become the replacement character', '\ud800'],
    ])('compares exactly: %s is another workflow, and does not spoil the answer to others', async (_, id) => {
      expect(await fixture.source.readMany([id, 'w1'])).toEqual([null, 'acme']);
    });
  });
}
