import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FREE_PORTS, Program } from '../support/program.js';
import { passableTempDir } from '../support/temp-dir.js';
import { CHROMIUM, launchChromium } from './support/chromium.js';
import { openPage } from './support/open-page.js';
import { programIsHere } from './support/program-is-here.js';

const NIGHTLY = '00000000-0000-4000-8000-000000000001';

describe.skipIf(!programIsHere(CHROMIUM))('the page of the built program', () => {
  let browser: Browser;
  let program: Program | undefined;
  let directory: string;

  beforeAll(async () => {
    browser = await launchChromium();
    directory = await passableTempDir('latchkey-page-');
    program = new Program(['serve'], {
      ...FREE_PORTS,
      LATCHKEY_DATA_DIR: join(directory, 'data'),
      LATCHKEY_ROUTES_FILE: 'deploy/routes.yaml',
    });
    await program.ready();
  }, 60_000);
  afterAll(async () => {
    await browser.close();
    program?.kill('SIGTERM');
    await program?.ended;
    await rm(directory, { recursive: true, force: true });
  }, 60_000);

  it('makes a key that the sidecar grants, and has it refused from the moment that the receipt is shown', async () => {
    const { http } = (await program?.ready()) ?? {};
    const { page, problems, close } = await openPage(browser, `${http}/dev/login?account=dev`);
    expect(page.url()).toBe(`${http}/settings/developer`);
    await page.getByLabel('Key Name').fill('From the page');
    await page.getByLabel('Scope').selectOption({ label: 'Nightly report' });
    await page.getByRole('button', { name: 'Create' }).click();
    const rawKey = (await page.locator('.raw-key').textContent()) ?? '';

    const ask = async (workflow: string) => {
      const { status, headers } = await fetch(`${http}/authorize`, {
        headers: {
          authorization: `Bearer ${rawKey}`,
          'x-original-method': 'GET',
          'x-original-uri': `/workflows/${workflow}/nodes`,
        },
      });
      return { status, reason: headers.get('x-latchkey-reason') };
    };
    expect(await ask(NIGHTLY)).toEqual({ status: 200, reason: null });
    expect(await ask('another')).toEqual({ status: 403, reason: 'WORKFLOW_OUT_OF_SCOPE' });

    await page.getByRole('button', { name: 'Revoke key From the page' }).click();
    await page.getByRole('button', { name: 'Revoke', exact: true }).click();
    await page.getByText(/Refused everywhere after (\d+|less than 1) ms/).waitFor();
    await page.getByText('1 sidecar confirmed it.').waitFor();
    expect(await ask(NIGHTLY)).toEqual({ status: 401, reason: 'KEY_REVOKED' });
    expect(problems).toEqual([]);
    await close();
  });
});
