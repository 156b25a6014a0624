import { spawn } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiKey, CreatedApiKey } from '../../src/transport/http/settings/page/api.js';
import { createDateFormat } from '../../src/transport/http/settings/page/dates.js';
import { keyState } from '../../src/transport/http/settings/page/key-state.js';
import { nextPageOf } from '../../src/transport/http/settings/page/next-page-of.js';
import { receiptText } from '../../src/transport/http/settings/page/receipt-text.js';
import { rotationNote } from '../../src/transport/http/settings/page/rotation-note.js';
import { type Language, snippet, variableName } from '../../src/transport/http/settings/page/snippets.js';
import { workflowLabels } from '../../src/transport/http/settings/page/workflow-labels.js';
import { namesUnknownWorkflow, workflowNames } from '../../src/transport/http/settings/page/workflow-names.js';
import { programIsHere } from './support/program-is-here.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const NOW = Date.parse('2026-06-15T12:00:00Z');

describe('dates', () => {
  const british = createDateFormat(['en-GB'], 'UTC');

  it.each([
    [-5000, 'just now'],
    [0, 'just now'],
    [59_999, 'just now'],
    [MINUTE, '1 minute ago'],
    [59.9 * MINUTE, '59 minutes ago'],
    [23.9 * HOUR, '23 hours ago'],
    [44 * DAY, '44 days ago'],
    [46 * DAY, '30 Apr 2026'],
  ])('say of %d ms ago: %s', (ms, text) => {
    expect(british.past(NOW - ms, NOW).text).toBe(text);
  });

  it.each([
    [-1, 'in 1 minute'],
    [59.9 * MINUTE, 'in 1 hour'],
    [DAY - 1, 'in 1 day'],
    [30 * DAY - 1, 'in 30 days'],
    [90 * DAY, '13 Sept 2026'],
  ])('say of %d ms ahead: %s', (ms, text) => {
    expect(british.future(NOW + ms, NOW).text).toBe(text);
  });

  it('are the locale’s where they are dates, and the page’s language where they are words', () => {
    const japanese = createDateFormat(['ja-JP', 'en-US'], 'Asia/Tokyo');
    expect(japanese.past(NOW - 100 * DAY, NOW)).toEqual({
      text: '2026/03/07',
      exact: '2026年3月7日土曜日 21:00:00 JST',
    });
    expect(japanese.past(NOW - 2 * DAY, NOW).text).toBe('2 days ago');
  });
});

describe('the state of a key', () => {
  const key: ApiKey = {
    id: '1',
    name: 'k',
    key_prefix: 'nk_live_0000',
    workflow_id: null,
    permissions: ['read'],
    created_at: new Date(NOW - 91 * DAY).toISOString(),
    last_used_at: null,
    expires_at: null,
    revoked_at: null,
  };
  const at = (ms: number) => new Date(ms).toISOString();

  it.each<[string, Partial<ApiKey>]>([
    ['unused', {}],
    ['unused', { last_used_at: at(NOW - 90 * DAY) }],
    ['active', { last_used_at: at(NOW - 90 * DAY + 1) }],
    ['active', { created_at: at(NOW - 89 * DAY) }],
    ['expired', { expires_at: at(NOW) }],
    ['unused', { expires_at: at(NOW + 1) }],
    ['revoked', { expires_at: at(NOW), revoked_at: at(NOW) }],
  ])('is %s given %j', (state, change) => {
    expect(keyState({ ...key, ...change }, NOW)).toBe(state);
  });
});

describe('the next page', () => {
  it.each([
    [null, null],
    ['', null],
    ['</api/keys?limit=50&cursor=abc>; rel="next"', '?limit=50&cursor=abc'],
    ['<https://elsewhere.example/x?cursor=abc>; rel="next"', '?cursor=abc'],
    ['</api/keys?cursor=1>; rel="prev", </api/keys?cursor=2>; rel=next', '?cursor=2'],
    ['</api/keys?cursor=a,b>; title="x"; rel="next"', '?cursor=a,b'],
    ['</api/keys>; rel="next"', null],
    ['</api/keys?cursor=1>; rel="nextish"', null],
    ['nonsense', null],
  ])('of %j is %j', (link, query) => {
    expect(nextPageOf(link)).toBe(query);
  });
});

describe('the receipt', () => {
  it.each([
    [0.4, { acknowledged: 1, expired: 0 }, 'less than 1 ms', '1 sidecar confirmed it.'],
    [4.2, { acknowledged: 3, expired: 0 }, '4 ms', '3 sidecars confirmed it.'],
    [999.7, { acknowledged: 0, expired: 0 }, '1.0 s', 'No sidecar was running.'],
  ])('after %d ms with %j says %s: %s', (ms, sidecars, after, detail) => {
    expect(receiptText({ confirmed_in_ms: ms, sidecars })).toEqual({
      headline: `Refused everywhere after ${after}`,
      detail,
    });
  });

  it('says why a sidecar that did not answer refuses the key too', () => {
    expect(receiptText({ confirmed_in_ms: 3150, sidecars: { acknowledged: 2, expired: 1 } }).detail).toMatch(
      /^2 sidecars confirmed it\. 1 did not answer; its right .* has run out/,
    );
    expect(receiptText({ confirmed_in_ms: 3150, sidecars: { acknowledged: 0, expired: 2 } }).detail).toMatch(
      /^2 sidecars did not answer; their right /,
    );
  });
});

describe('the note about a rotated key', () => {
  const british = createDateFormat(['en-GB'], 'UTC');
  const old = (expiresInMs: number | null) =>
    ({
      key_prefix: 'nk_live_4be1',
      expires_at: expiresInMs === null ? null : new Date(NOW + expiresInMs).toISOString(),
    }) as ApiKey;

  it.each([
    [null, 24, 'Replaces nk_live_4be1…, which stops working after 24 hours.'],
    [30 * DAY, 24, 'Replaces nk_live_4be1…, which stops working after 24 hours.'],
    [2 * HOUR, 24, 'Replaces nk_live_4be1…, which expires in 2 hours.'],
    [2 * HOUR, 1, 'Replaces nk_live_4be1…, which stops working after 1 hour.'],
    [2 * HOUR, 0, 'Replaces nk_live_4be1…, which is refused everywhere.'],
  ])('that had %j ms left and an overlap of %d hours', (leftMs, hours, text) => {
    expect(rotationNote(old(leftMs), {} as CreatedApiKey, hours * 3600, british, NOW)).toBe(text);
  });
});

describe('the labels of workflows', () => {
  it('tell apart two of one name, and never are blank', () => {
    const workflows = [
      { id: 'aaaaaaaa-1', name: 'Report' },
      { id: 'bbbbbbbb-2', name: 'Report' },
      { id: 'c', name: 'Other' },
      { id: 'd', name: ' ' },
    ];
    expect(workflowLabels(workflows).map(({ label }) => label)).toEqual([
      'Report (aaaaaaaa)',
      'Report (bbbbbbbb)',
      'Other',
      'd',
    ]);
  });
});

describe('a workflow that is not in the list', () => {
  const scoped = (workflow_id: string | null) => ({ workflow_id }) as ApiKey;

  it('is deleted when a key named it before, and unknown when only a later key does', () => {
    const known = workflowNames([{ id: 'a', name: 'A' }], [scoped('a'), scoped('b'), scoped(null)]);
    expect([...known.deleted]).toEqual(['b']);
    expect(namesUnknownWorkflow([scoped('a'), scoped('b'), scoped(null)], known)).toBe(false);
    expect(namesUnknownWorkflow([scoped('c')], known)).toBe(true);
  });
});

describe('the variable of a key', () => {
  it.each([
    ['My Dashboard App', 'MY_DASHBOARD_APP_API_KEY'],
    ['prod api key', 'PROD_API_KEY'],
    ['CI', 'CI_API_KEY'],
    ['1st $(rm -rf /)', 'ST_RM_RF_API_KEY'],
    ['Étude №1', 'ETUDE_NO1_API_KEY'],
    ['日本語', 'API_KEY'],
    ['key', 'API_KEY'],
    ['x'.repeat(100), `${'X'.repeat(40)}_API_KEY`],
  ])('%s is %s', (name, variable) => {
    expect(variableName(name)).toBe(variable);
    expect(variable).toMatch(/^[A-Z_][A-Z0-9_]*$/);
  });
});

describe('the quick start', () => {
  const KEY = `nk_live_${'ab'.repeat(32)}`;
  const NASTY_NAME = 'My "app"; $(touch /tmp/x) `id` \'; */ -->';
  const NASTY_ID = 'wf\'"$(id)`!';
  let server: Server;
  let exampleUrl: string;
  const seen: { url: string | undefined; authorization: string | undefined }[] = [];

  beforeAll(async () => {
    server = createServer(({ url, headers: { authorization } }, response) => {
      seen.push({ url, authorization });
      response.setHeader('content-type', 'application/json').end('{"nodes":["answered"]}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    exampleUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/workflows/{workflow_id}/nodes`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  it.skipIf(!['python3', 'bash', 'curl'].every(programIsHere)).each<[Language, string, readonly string[], string]>([
    ['TypeScript', process.execPath, ['--input-type=module', '-e'], ''],
    ['Python', 'python3', ['-c'], ''],
    // The shell asks for the key.
    ['curl', 'bash', ['-c'], `${KEY}\n`],
  ])(
    'in %s runs as it stands, whatever the key and the workflow are called',
    async (language, program, args, input) => {
      const parts = { keyName: NASTY_NAME, workflowId: NASTY_ID, exampleUrl };
      const variable = variableName(NASTY_NAME);
      const code = snippet(language, parts);
      expect(code).not.toContain(KEY);
      const env = { PATH: process.env.PATH, ...(input === '' ? { [variable]: KEY } : {}) };
      seen.length = 0;
      const { status, output } = await run(program, [...args, code], env, input);
      expect({ status, output }).toMatchObject({ status: 0, output: expect.stringContaining('answered') });
      expect(seen).toEqual([
        {
          url: `/workflows/${encodeURIComponent(NASTY_ID).replace('!', '%21').replace('(', '%28').replace(')', '%29').replace("'", '%27')}/nodes`,
          authorization: `Bearer ${KEY}`,
        },
      ]);
    },
  );
});

function run(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  input: string,
): Promise<{ status: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, timeout: 20_000 });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, output }));
    child.stdin.end(input);
  });
}
