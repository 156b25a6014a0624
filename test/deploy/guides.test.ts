import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { appUnderTest } from '../transport/http/app-under-test.js';

describe('what the guides show', () => {
  it('is what a client is told of two mistakes at once', async () => {
    const guide = readFileSync('docs/manage-keys.md', 'utf8');
    const [, shown = ''] = /```json\n(\{\n {2}"type": "urn:latchkey:problem:invalid"[^`]*)```/.exec(guide) ?? [];
    const { ada } = await appUnderTest();
    const answer = await ada('POST', '/api/keys', { name: ' ', expires_at: 'tomorrow' });
    expect({ ...answer.json(), instance: '' }).toEqual({ ...JSON.parse(shown), instance: '' });
  });
});
