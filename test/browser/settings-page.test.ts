import type { Locator } from 'playwright-core';
import { beforeEach, describe, expect, it } from 'vitest';
import { ALL_PERMISSIONS, Permission } from '../../src/domain/permissions.js';
import { CHROMIUM } from './support/chromium.js';
import { VARIANTS } from './support/open-page.js';
import { pagesUnderTest } from './support/pages-under-test.js';
import { programIsHere } from './support/program-is-here.js';
import type { TestPlatform } from './support/test-platform.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NIGHTLY = { id: '7d1f6f3e-0000-4000-8000-000000000001', name: 'Nightly report' };
const INVOICES = { id: '7d1f6f3e-0000-4000-8000-000000000002', name: 'Invoice intake' };
const GONE = '7d1f6f3e-0000-4000-8000-00000000dead';
/** The text as it is laid out: columns and lines are apart. */
// biome-ignore lint/performance/useDomNodeTextContent: a locator of the browser driver, not a node of a document.
const textOf = (locator: Locator): Promise<string> => locator.innerText();

const RAW_KEY = /nk_live_[0-9a-f]{64}/;

describe.skipIf(!programIsHere(CHROMIUM))('the Developer settings page', { timeout: 60_000 }, () => {
  const pages = pagesUnderTest();
  const { open } = pages;
  let platform: TestPlatform;

  beforeEach(() => {
    platform = pages.platform;
    platform.workflows = [INVOICES, NIGHTLY];
  });

  describe.each(VARIANTS)('at $width px, $colorScheme', (variant) => {
    it('goes from an empty list through create, copy, rotate and revoke to the revoked keys', async () => {
      const { page, shoot, axe, overflow } = await open(variant);
      const row = (name: string) => page.getByRole('listitem').filter({ hasText: name });
      const banner = page.getByRole('region', { name: 'API key created' });

      await page.getByText('No active API keys').waitFor();
      expect(await axe()).toEqual([]);
      await shoot('1-empty');

      // Create, for all workflows.
      await page.getByLabel('Key Name').fill('My Dashboard App');
      await page.getByRole('button', { name: 'Create' }).click();
      await banner.waitFor();
      expect(await textOf(banner)).toContain("API key created — copy this key now, it won't be shown again");
      expect(await banner.evaluate((element) => element === document.activeElement)).toBe(true);
      const rawKey = RAW_KEY.exec(await textOf(banner))?.[0] ?? 'none';
      await row('My Dashboard App').waitFor();
      expect(await textOf(row('My Dashboard App'))).toContain(`${rawKey.slice(0, 12)}…`);

      // Copy, and prove it by pasting.
      await banner.getByRole('button', { name: 'Copy', exact: true }).click();
      await banner.getByText('Copied').waitFor();
      await page.getByLabel('Key Name').press('Control+V');
      expect(await page.getByLabel('Key Name').inputValue()).toBe(rawKey);
      await page.getByLabel('Key Name').fill('');
      await banner.getByText('Quick start').click();
      expect(await textOf(banner.getByRole('tabpanel'))).toContain('MY_DASHBOARD_APP_API_KEY');
      expect(await axe()).toEqual([]);
      expect(await overflow()).toBe(0);
      await shoot('2-created');

      await banner.getByRole('button', { name: 'Dismiss' }).click();
      await banner.waitFor({ state: 'detached' });
      expect(await page.content()).not.toContain(rawKey);

      // Create for one workflow, read only, for 30 days.
      await page.getByLabel('Key Name').fill('Report reader');
      await page.getByLabel('Scope').selectOption({ label: 'Nightly report' });
      await page.getByLabel('Expires').selectOption('In 30 days');
      await page.getByLabel('Execute').uncheck();
      await page.getByLabel('Write').uncheck();
      await shoot('3-scoped-form');
      await page.getByRole('button', { name: 'Create' }).click();
      await row('Report reader').waitFor();
      expect(await textOf(row('Report reader'))).toMatch(
        /Nightly report\s+Read\s+Created just now\s+Never used\s+Expires in 30 days/,
      );
      await banner.getByRole('button', { name: 'Copy', exact: true }).click();
      await banner.getByText('Copied').waitFor();
      await banner.getByRole('button', { name: 'Dismiss' }).click();

      // Rotate, the old key to live on for an hour.
      await page.getByRole('button', { name: 'Rotate key Report reader' }).click();
      await page.getByLabel('Old key stops working').selectOption('After 1 hour');
      expect(await axe()).toEqual([]);
      await shoot('4-rotate');
      await page.getByRole('button', { name: 'Rotate', exact: true }).click();
      await banner.getByText('stops working after 1 hour').waitFor();
      await page.getByText('Expires in 1 hour').waitFor();
      expect(await row('Report reader').filter({ hasText: 'Nightly report' }).count()).toBe(2);
      await banner.getByRole('button', { name: 'Copy', exact: true }).click();
      await banner.getByText('Copied').waitFor();
      await banner.getByRole('button', { name: 'Dismiss' }).click();

      // Revoke, after changing one's mind once.
      await page.getByRole('button', { name: 'Revoke key My Dashboard App' }).click();
      await page.getByRole('heading', { name: 'Revoke "My Dashboard App"?' }).waitFor();
      expect(await axe()).toEqual([]);
      await shoot('5-revoke');
      await page.getByRole('button', { name: 'Keep it' }).click();
      expect((await platform.keys()).every(({ revokedAtMs }) => revokedAtMs === null)).toBe(true);
      await page.getByRole('button', { name: 'Revoke key My Dashboard App' }).click();
      await page.getByRole('button', { name: 'Revoke', exact: true }).click();
      await page.getByText('Refused everywhere after 4 ms').waitFor();
      expect(await textOf(row('My Dashboard App'))).toContain('3 sidecars confirmed it.');
      expect(await axe()).toEqual([]);
      await shoot('6-receipt');
      await page.getByRole('button', { name: 'Hide the receipt' }).click();
      await row('My Dashboard App').waitFor({ state: 'detached' });

      // Show revoked keys.
      await page.getByLabel('Show revoked keys').check();
      await row('My Dashboard App').waitFor();
      expect(await textOf(row('My Dashboard App'))).toContain('Revoked just now');
      expect(await axe()).toEqual([]);
      expect(await overflow()).toBe(0);
      await shoot('7-revoked-shown');
    });

    it('shows every kind of key, however long its name', async () => {
      await platform.seed([
        { name: 'Old importer', ageMs: 200 * DAY, usedMsAgo: 120 * DAY },
        { name: 'Never tried', ageMs: 100 * DAY },
        { name: 'Orphan', ageMs: 60 * DAY, workflowId: GONE, permissions: Permission.READ, usedMsAgo: 3 * HOUR },
        { name: 'CI', ageMs: 20 * DAY, expiresInMs: 3 * DAY, usedMsAgo: 90_000 },
        { name: 'Expired trial', ageMs: 10 * DAY, expiresInMs: -DAY },
        { name: 'W'.repeat(100), ageMs: 3 * DAY },
        { name: '<img src=x onerror=alert(1)> & "quoted"', ageMs: 2 * DAY, workflowId: NIGHTLY.id },
      ]);
      const { page, shoot, axe, overflow } = await open(variant);
      const text = (name: string) => textOf(page.getByRole('listitem').filter({ hasText: name }));
      await page.getByText('Old importer').waitFor();

      expect(await text('Old importer')).toContain('Unused for 90 days');
      expect(await text('Never tried')).toContain('Unused for 90 days');
      expect(await text('Orphan')).toContain(`${GONE} (deleted workflow)`);
      expect(await text('Orphan')).toContain('Last used 3 hours ago');
      expect(await text('CI')).toContain('Expires in 3 days');
      expect(await text('CI')).not.toContain('Unused');
      expect(await text('Expired trial')).toContain('Expired 1 day ago');
      expect(await text('<img src=x onerror=alert(1)> & "quoted"')).toContain('Nightly report');
      expect(await page.locator('img').count()).toBe(0);
      expect(await axe()).toEqual([]);
      expect(await overflow()).toBe(0);
      await shoot('kinds-of-keys');
    });

    it('says at each field what is wrong with it', async () => {
      const { page, shoot, axe } = await open(variant);
      await page.getByText('No active API keys').waitFor();
      await page.getByLabel('Expires').selectOption('On a date…');
      for (const name of ['Read', 'Execute', 'Write']) await page.getByLabel(name, { exact: true }).uncheck();
      await page.getByRole('button', { name: 'Create' }).click();

      const name = page.getByLabel('Key Name');
      await page.getByText('Give the key a name').waitFor();
      expect(await name.evaluate((element) => element === document.activeElement)).toBe(true);
      expect(await name.getAttribute('aria-invalid')).toBe('true');
      expect(await textOf(page.locator(`#${(await name.getAttribute('aria-describedby')) ?? ''}`))).toContain(
        'Give the key a name',
      );
      await page.getByText('Choose a date.').waitFor();
      await page.getByText('Choose at least one permission.').waitFor();
      expect(await axe()).toEqual([]);
      await shoot('field-errors');
      expect(await platform.keys()).toEqual([]);
    });

    it('searches among many workflows', async () => {
      platform.workflows = Array.from({ length: 240 }, (_, i) => ({ id: `wf-${i}`, name: `Workflow ${i}` }));
      const { page, shoot, axe } = await open(variant);
      const scope = page.getByRole('combobox', { name: 'Scope' });
      await page.getByText('No active API keys').waitFor();
      await scope.click();
      await page.getByRole('option', { name: 'All workflows' }).waitFor();
      const options = page.getByRole('listbox', { name: 'Workflows' }).getByRole('option');
      expect(await options.count()).toBe(100);
      await scope.fill('workflow 23');
      expect(await options.allInnerTexts()).toEqual([
        'Workflow 23',
        ...Array.from({ length: 10 }, (_, i) => `Workflow 23${i}`),
      ]);
      expect(await axe()).toEqual([]);
      await shoot('scope-search');
      await page.getByRole('option', { name: 'Workflow 237' }).click();
      expect(await scope.inputValue()).toBe('Workflow 237');
      await page.getByLabel('Key Name').fill('Scoped');
      await page.getByRole('button', { name: 'Create' }).click();
      await page.getByRole('listitem').filter({ hasText: 'Workflow 237' }).waitFor();
      expect((await platform.keys())[0]?.workflowId).toBe('wf-237');
    });

    it('says that the keys could not be loaded, and loads them at the next attempt', async () => {
      await platform.seed([{ name: 'Survivor' }]);
      platform.trouble = 'outage';
      const { page, shoot, axe } = await open(variant);
      await page.getByText('Your keys could not be loaded').waitFor();
      await page.getByText('Your workflows could not be loaded').waitFor();
      expect(await axe()).toEqual([]);
      await shoot('outage');
      platform.trouble = 'none';
      await page.getByRole('alert').getByRole('button', { name: 'Try again' }).click();
      await page.getByText('Survivor').waitFor();
      await page.getByLabel('Scope').selectOption({ label: 'Invoice intake' });
    });

    it('keeps what was typed and the new key when the session ends, and goes on after signing in', async () => {
      const { page, shoot, axe } = await open(variant);
      await page.getByLabel('Key Name').fill('First');
      await page.getByRole('button', { name: 'Create' }).click();
      await page.getByRole('listitem').filter({ hasText: 'First' }).waitFor();
      platform.signedIn = false;
      await page.getByLabel('Key Name').fill('Second');
      await page.getByRole('button', { name: 'Create' }).click();
      await page.getByText('Your session has ended').waitFor();
      expect(await axe()).toEqual([]);
      await shoot('session-ended');
      const refused = page.waitForResponse((response) => response.url().includes('/api/keys'));
      await page.getByRole('button', { name: 'I have signed in' }).click();
      expect((await refused).status()).toBe(401);
      await page.getByText('Your session has ended').waitFor();
      platform.signedIn = true;
      await page.getByRole('button', { name: 'I have signed in' }).click();
      await page.getByText('Your session has ended').waitFor({ state: 'detached' });
      expect(await page.getByLabel('Key Name').inputValue()).toBe('Second');
      expect(await textOf(page.getByRole('region', { name: 'API key created' }))).toMatch(RAW_KEY);
      await page.getByRole('button', { name: 'Create' }).click();
      await page.getByRole('listitem').filter({ hasText: 'Second' }).waitFor();
    });

    it('does not call a revocation confirmed before it is', async () => {
      await platform.seed([{ name: 'Leaked' }]);
      platform.trouble = 'unconfirmed';
      const { page, shoot, axe } = await open(variant);
      await page.getByRole('button', { name: 'Revoke key Leaked' }).click();
      await page.getByRole('button', { name: 'Revoke', exact: true }).click();
      await page.getByText('Revoked, but not confirmed yet').waitFor();
      expect(await page.getByText('Refused everywhere').count()).toBe(0);
      expect(await axe()).toEqual([]);
      await shoot('unconfirmed');
      platform.trouble = 'none';
      platform.receipt = { confirmedInMs: 3150, sidecars: { acknowledged: 2, expired: 1 } };
      await page.getByRole('button', { name: 'Try again' }).click();
      await page
        .getByText('Refused everywhere after 3.2 s')
        .or(page.getByText('Refused everywhere after 3.1 s'))
        .waitFor();
      await page.getByText('2 sidecars confirmed it. 1 did not answer').waitFor();
      await shoot('confirmed-by-expiry');
    });
  });

  it('works by keyboard alone, and gives the focus back', async () => {
    const { page } = await open();
    const focused = () =>
      page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent);
    await page.getByText('No active API keys').waitFor();
    await page.getByLabel('Key Name').focus();
    await page.keyboard.type('Typed');
    await page.keyboard.press('Enter');
    await page.getByRole('region', { name: 'API key created' }).waitFor();
    await page.getByRole('listitem').filter({ hasText: 'Typed' }).waitFor();
    await page.keyboard.press('Tab');
    expect(await focused()).toBe('Copy');
    await page.keyboard.press('Enter');
    await page.getByText('Copied').waitFor();
    await page.keyboard.press('Tab');
    expect(await focused()).toBe('Dismiss');
    await page.keyboard.press('Enter');
    expect(await focused()).toBe('API keys');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    expect(await focused()).toBe('Rotate key Typed');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    expect(await focused()).toBe('Keep it');
    await page.keyboard.press('Escape');
    expect(await focused()).toBe('Revoke key Typed');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Shift+Tab');
    expect(await focused()).toBe('Revoke');
    await page.keyboard.press('Enter');
    await page.getByText('Refused everywhere').waitFor();
    expect(await focused()).toBe('Typed is revoked');
  });

  it('shows what the server says of a field', async () => {
    const { page } = await open();
    await page.getByText('No active API keys').waitFor();
    await page.getByLabel('Key Name').fill('right\u202Eto-left');
    await page.getByRole('button', { name: 'Create' }).click();
    await page
      .locator('.field', { has: page.getByLabel('Key Name') })
      .locator('.field-error')
      .filter({ hasText: /\w/ })
      .waitFor();
    expect(await page.getByLabel('Key Name').getAttribute('aria-invalid')).toBe('true');
  });

  it('never widens the scope when the chosen workflow was deleted meanwhile', async () => {
    const { page } = await open();
    await page.getByLabel('Scope').selectOption({ label: 'Nightly report' });
    await page.getByLabel('Key Name').fill('Scoped');
    platform.workflows = [INVOICES];
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByText('This workflow no longer exists').waitFor();
    await expect
      .poll(() => page.getByLabel('Scope').locator('option').allInnerTexts())
      .toEqual(['All workflows', 'Invoice intake']);
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByText('Choose what the key may act on.').waitFor();
    expect(await platform.keys()).toEqual([]);
    await page.getByLabel('Scope').selectOption({ label: 'Invoice intake' });
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('listitem').filter({ hasText: 'Invoice intake' }).waitFor();
  });

  it('lets two tabs revoke the same key', async () => {
    const [key] = await platform.seed([{ name: 'Shared' }]);
    const first = await open();
    const second = await open();
    for (const { page } of [first, second]) await page.getByRole('button', { name: 'Revoke key Shared' }).click();
    for (const { page } of [first, second]) {
      await page.getByRole('button', { name: 'Revoke', exact: true }).click();
      await page.getByText('Refused everywhere after 4 ms').waitFor();
    }
    expect((await platform.keys()).find(({ id }) => id === key?.id)?.revokedAtMs).not.toBeNull();
  });

  it('shows in one tab what another tab of the same browser changed', async () => {
    await platform.seed([{ name: 'Shared' }]);
    const first = await open();
    const other = await first.page.context().newPage();
    await other.goto(platform.url);
    await first.page.getByText('Shared').waitFor();
    await other.getByRole('button', { name: 'Revoke key Shared' }).click();
    await other.getByRole('button', { name: 'Revoke', exact: true }).click();
    await other.getByText('Refused everywhere').waitFor();
    await expect.poll(() => first.page.getByText('No active API keys').isVisible()).toBe(true);
    expect(await first.page.getByRole('listitem').count()).toBe(0);
  });

  it('refuses the old key at once after a rotation without overlap', async () => {
    const [old] = await platform.seed([{ name: 'Rotated', permissions: Permission.READ, workflowId: NIGHTLY.id }]);
    const { page } = await open();
    await page.getByRole('button', { name: 'Rotate key Rotated' }).click();
    await page.getByLabel('Old key stops working').selectOption('Now');
    await page.getByRole('button', { name: 'Rotate', exact: true }).click();
    await page.getByText(`Replaces ${old?.keyPrefix}…: refused everywhere after 4 ms.`).waitFor();
    await expect.poll(() => page.getByRole('listitem').count()).toBe(1);
    const keys = await platform.keys();
    expect(keys.find(({ id }) => id === old?.id)?.revokedAtMs).not.toBeNull();
    expect(keys).toHaveLength(2);
  });

  it('gives a key until the end of a chosen day', async () => {
    const { page } = await open(undefined, { timezoneId: 'America/Bogota' });
    await page.getByLabel('Key Name').fill('Dated');
    await page.getByLabel('Expires').selectOption('On a date…');
    await page.getByLabel('Last day of the key').fill('2031-05-17');
    await page.getByText('Until the end of 17 May 2031').waitFor();
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByText('Expires 17 May 2031').waitFor();
    const [key] = await platform.keys();
    expect(new Date(key?.expiresAtMs ?? 0).toISOString()).toBe('2031-05-18T04:59:59.999Z');
    expect(key?.permissions).toBe(ALL_PERMISSIONS);
  });

  it('takes no day whose year has more than four digits', async () => {
    const { page } = await open();
    await page.getByLabel('Key Name').fill('For ever');
    await page.getByLabel('Expires').selectOption('On a date…');
    const date = page.getByLabel('Last day of the key');
    // A browser whose date picker knows no `max` can still come to it.
    await date.evaluate((input: HTMLInputElement) => {
      input.value = '20260-05-17';
    });
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByText('Choose a day before the year 10000').waitFor();
    await date.fill('9999-12-30');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('listitem').filter({ hasText: 'For ever' }).waitFor();
    expect((await platform.keys())[0]?.expiresAtMs).toBe(new Date('9999-12-30T23:59:59.999').getTime());
  });

  it('says when there are too many keys, and when to come back', async () => {
    platform = await pages.restart({ maxActiveKeys: 2, creationsPerMinute: 3 });
    const { page } = await open();
    const create = async (name: string) => {
      await page.getByLabel('Key Name').fill(name);
      await page.getByRole('button', { name: 'Create' }).click();
    };
    await create('One');
    await page.getByRole('listitem').filter({ hasText: 'One' }).waitFor();
    await create('Two');
    await page.getByRole('listitem').filter({ hasText: 'Two' }).waitFor();
    await create('Three');
    await page.getByText('as many as it may have').waitFor();
    await create('Four');
    await page.getByText(/Try again in \d+ s/).waitFor();
    expect(await page.getByLabel('Key Name').inputValue()).toBe('Four');
  });

  it('says when it is not known whether a key was created', async () => {
    const { page } = await open();
    await page.getByText('No active API keys').waitFor();
    platform.trouble = 'outage';
    await page.getByLabel('Key Name').fill('Perhaps');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByText('It is not certain whether the key was created').waitFor();
    await page.getByText('This list may be out of date').waitFor();
    expect(await page.getByRole('region', { name: 'API key created' }).count()).toBe(0);
    platform.trouble = 'none';
    await page.getByRole('alert').getByRole('button', { name: 'Try again' }).click();
    await page.getByText('This list may be out of date').waitFor({ state: 'detached' });
  });

  it('holds no raw key when the browser keeps it for its back button', async () => {
    const { page } = await open();
    await page.getByLabel('Key Name').fill('Left behind');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('listitem').filter({ hasText: 'Left behind' }).waitFor();
    expect(await page.content()).toMatch(RAW_KEY);
    await page.evaluate(() => dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })));
    expect(await page.content()).not.toMatch(RAW_KEY);
  });

  it('asks before a key that was not copied is lost', async () => {
    const { page } = await open();
    await page.getByLabel('Key Name').fill('Not copied');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('region', { name: 'API key created' }).waitFor();
    const dialog = page.waitForEvent('dialog');
    const closing = page.close({ runBeforeUnload: true });
    expect((await dialog).type()).toBe('beforeunload');
    await (await dialog).accept();
    await closing;
  });

  it('offers a program in each language that reads the key from the environment', async () => {
    const { page } = await open();
    await page.getByLabel('Key Name').fill('Étude №1');
    await page.getByLabel('Scope').selectOption({ label: 'Nightly report' });
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByText('Quick start').click();
    const panel = page.getByRole('tabpanel');
    await page.getByRole('tab', { name: 'TypeScript' }).focus();
    for (const language of ['TypeScript', 'Python', 'curl']) {
      expect(await textOf(page.getByRole('tab', { selected: true }))).toBe(language);
      expect(await textOf(panel)).toContain('ETUDE_NO1_API_KEY');
      expect(await textOf(panel)).toContain(NIGHTLY.id);
      expect(await textOf(panel)).not.toMatch(RAW_KEY);
      await page.keyboard.press('ArrowRight');
    }
    expect(await textOf(page.getByRole('tab', { selected: true }))).toBe('TypeScript');
  });

  it('writes dates as the reader does', async () => {
    await platform.seed([{ name: 'Alt', ageMs: 100 * DAY, usedMsAgo: DAY }]);
    const { page } = await open(undefined, { locale: 'de-DE', timezoneId: 'Europe/Berlin' });
    const created = page.getByRole('listitem').locator('time').first();
    await created.waitFor();
    expect(await textOf(created)).toMatch(/^\d{2}\.\d{2}\.\d{4}$/);
    expect(await created.getAttribute('title')).toMatch(
      /^(Montag|Dienstag|Mittwoch|Donnerstag|Freitag|Samstag|Sonntag), /,
    );
  });

  it('shows no more than two lines of a name of a workflow, and the rest on demand', async () => {
    const name = 'Quarterly reconciliation of everything '.repeat(7).trim();
    platform.workflows = Array.from({ length: 12 }, (_, i) => ({ id: `wf-${i}`, name: `${name} ${i}` }));
    await platform.seed([{ name: 'Long', workflowId: 'wf-3' }]);
    const { page } = await open();
    const scope = page.locator('.key-scope');
    await scope.getByText(name).waitFor();
    expect(await scope.getAttribute('title')).toBe(`${name} 3`);
    await page.getByRole('combobox', { name: 'Scope' }).click();
    for (const clamped of [scope.locator('bdi'), page.locator('.option-label').nth(1)]) {
      const lines = await clamped.evaluate(
        (element) => element.clientHeight / Number.parseFloat(getComputedStyle(element).lineHeight),
      );
      expect(Math.round(lines)).toBe(2);
    }
  });

  it('sets apart in a question a name that is written from right to left', async () => {
    await platform.seed([{ name: 'מפתח' }]);
    const { page } = await open();
    await page.getByRole('button', { name: 'Revoke key' }).click();
    const question = page.getByRole('heading', { name: 'Revoke "מפתח"?' });
    expect(await textOf(question.locator('bdi'))).toBe('מפתח');
  });

  it('prints the list in light colours, without the form and the new key', async () => {
    await platform.seed([{ name: 'Listed' }]);
    const { page } = await open({ width: 1280, height: 860, colorScheme: 'dark' });
    await page.getByLabel('Key Name').fill('New');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('listitem').filter({ hasText: 'New' }).waitFor();
    await page.emulateMedia({ media: 'print' });
    expect(await page.getByRole('listitem').filter({ hasText: 'Listed' }).isVisible()).toBe(true);
    for (const hidden of [page.locator('.raw-key'), page.locator('form'), page.locator('.key-actions').first()]) {
      expect(await hidden.isVisible()).toBe(false);
    }
    expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe('rgb(246, 247, 249)');
  });

  it('says how many keys are shown after showing the revoked ones', async () => {
    await platform.seed([{ name: 'Old', revoked: true }, { name: 'New' }]);
    const { page } = await open();
    await page.getByText('New', { exact: true }).waitFor();
    await page.getByLabel('Show revoked keys').check();
    await page.getByRole('status').getByText('2 keys are shown.').waitFor();
    await page.getByLabel('Show revoked keys').uncheck();
    await page.getByRole('status').getByText('1 key is shown.').waitFor();
  });

  it('tells a browser without JavaScript what to do', async () => {
    const { page, shoot } = await open(undefined, { javaScriptEnabled: false });
    // By its place: the driver does not look for text inside `noscript`.
    expect(await page.locator('noscript .notice-title').isVisible()).toBe(true);
    expect(await page.getByText('Loading…').isVisible()).toBe(false);
    await shoot('no-javascript');
  });

  it('says what to do when its script does not come', async () => {
    const { page } = await open();
    await page.getByText('No active API keys').waitFor();
    await page.route('**/*.js', (route) => route.fulfill({ status: 404 }));
    await page.reload();
    await page.getByText('If this stays, reload the page.').waitFor();
  });

  it('tells who is not signed in to sign in', async () => {
    platform.signedIn = false;
    const { page, shoot, axe } = await open();
    await page.getByText('You are not signed in').waitFor();
    expect(await axe()).toEqual([]);
    await shoot('not-signed-in');
  });
});
