import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { settingsHelp } from '../../src/cli/settings-help.js';
import { OPERATIONS_PAGE } from '../support/settings-table.js';
import { appUnderTest } from '../transport/http/app-under-test.js';

describe('what the guides show', () => {
  it('is what a client is told of two mistakes at once', async () => {
    const guide = readFileSync('docs/manage-keys.md', 'utf8');
    const [, shown = ''] = /```json\n(\{\n {2}"type": "urn:latchkey:problem:invalid"[^`]*)```/.exec(guide) ?? [];
    const { ada } = await appUnderTest();
    const answer = await ada('POST', '/api/keys', { name: ' ', expires_at: 'tomorrow' });
    expect({ ...answer.json(), instance: '' }).toEqual({ ...JSON.parse(shown), instance: '' });
  });

  it('of the settings is what an operator types: no entity in code, and back-ticks around code only', () => {
    const rows = readFileSync(OPERATIONS_PAGE, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    for (const row of rows) {
      const parts = row.split('`');
      expect(parts.length % 2, row).toBe(1);
      expect(parts.filter((_, at) => at % 2 === 1).join(' ')).not.toContain('&lt;');
    }
    expect(rows.length).toBeGreaterThan(30);
    // The help for a terminal leaves back-ticks out.
    expect(settingsHelp()).toMatch(/letters, digits, back-ticks and any of/);
  });
});
