import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { CHROMIUM } from './support/chromium.js';
import { VARIANTS } from './support/open-page.js';
import { pagesUnderTest } from './support/pages-under-test.js';
import { programIsHere } from './support/program-is-here.js';

describe.skipIf(!programIsHere(CHROMIUM))('what changes elsewhere', { timeout: 60_000 }, () => {
  const pages = pagesUnderTest();

  /** Has the page do what it does when it comes to the front, and waits for its list. */
  async function comeBack(page: Page): Promise<void> {
    const read = page.waitForResponse((response) => response.url().includes('/api/keys'));
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await (await read).finished();
  }

  const focusedName = (page: Page) =>
    page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent);

  it('takes a key away, once its question is closed', async () => {
    const [key] = await pages.platform.seed([{ name: 'Gone' }]);
    const { page } = await pages.open();
    await page.getByRole('button', { name: 'Revoke key Gone' }).click();
    await pages.platform.revokeElsewhere(key?.id ?? '');
    await comeBack(page);
    await page.getByRole('button', { name: 'Keep it' }).click();
    await page.getByText('No active API keys').waitFor();
    expect(await focusedName(page)).toBe('API keys');
  });

  it('offers no second attempt at a rotation that can only fail again', async () => {
    const [key] = await pages.platform.seed([{ name: 'Stopped' }]);
    const { page, axe } = await pages.open();
    await page.getByRole('button', { name: 'Rotate key Stopped' }).click();
    await pages.platform.revokeElsewhere(key?.id ?? '');
    await page.getByRole('button', { name: 'Rotate', exact: true }).click();
    await page.getByText('The key was not rotated').waitFor();
    expect(await page.getByRole('button', { name: 'Try again' }).count()).toBe(0);
    expect(await focusedName(page)).toBe('Close');
    expect(await axe()).toEqual([]);
    await page.getByRole('button', { name: 'Close' }).click();
    await page.getByText('No active API keys').waitFor();
  });

  it('offers no second attempt at a revocation of a key that is not there', async () => {
    await pages.platform.seed([{ name: 'Theirs' }]);
    const { page } = await pages.open();
    await page.getByRole('button', { name: 'Revoke key Theirs' }).click();
    await page.route('**/api/keys/*', (route) => route.fulfill({ status: 404, json: { title: 'Not found' } }));
    await page.getByRole('button', { name: 'Revoke', exact: true }).click();
    await page.getByText('This key was not found').waitFor();
    expect(await page.getByRole('button', { name: 'Try again' }).count()).toBe(0);
    const read = page.waitForResponse((response) => response.url().includes('/api/keys?'));
    await page.getByRole('button', { name: 'Close' }).click();
    await read;
  });

  it('leaves the focus in a row whose question it answers', async () => {
    const [key] = await pages.platform.seed([{ name: 'Watched' }]);
    const { page } = await pages.open();
    await page.getByLabel('Show revoked keys').check();
    await page.getByRole('button', { name: 'Revoke key Watched' }).click();
    await pages.platform.revokeElsewhere(key?.id ?? '');
    await comeBack(page);
    const row = page.getByRole('listitem').filter({ hasText: 'Revoked just now' });
    await row.waitFor();
    expect(await page.getByRole('button', { name: 'Keep it' }).count()).toBe(0);
    expect(await row.evaluate((element) => element === document.activeElement)).toBe(true);
  });

  it.each([
    ['where it was', true, 'Create'],
    ['to the list, where nothing had it', false, 'API keys'],
  ])('gives the focus back %s after signing in', async (_, signedIn, name) => {
    pages.platform.signedIn = signedIn;
    const { page } = await pages.open();
    if (signedIn) {
      await page.getByText('No active API keys').waitFor();
      pages.platform.signedIn = false;
      await page.getByLabel('Key Name').fill('Typed');
      await page.getByRole('button', { name: 'Create' }).click();
    }
    const again = page.getByRole('button', { name: 'I have signed in' });
    await again.waitFor();
    pages.platform.signedIn = true;
    await again.click();
    await again.waitFor({ state: 'detached' });
    expect(await focusedName(page)).toBe(name);
  });

  it('names a workflow that is newer than the page, and offers it as a scope', async () => {
    const old = { id: 'wf-old', name: 'Old flow' };
    pages.platform.workflows = [old];
    const { page } = await pages.open();
    await page.getByText('No active API keys').waitFor();
    pages.platform.workflows = [old, { id: 'wf-new', name: 'New flow' }];
    await pages.platform.seed([{ name: 'Made elsewhere', workflowId: 'wf-new' }]);
    // What the page said of the scope at any time.
    await page.evaluate(() => {
      const said: string[] = [];
      Object.assign(globalThis, { said });
      const note = () => said.push(document.querySelector('.key-scope')?.textContent ?? '');
      new MutationObserver(note).observe(document.body, { childList: true, subtree: true });
    });
    await comeBack(page);
    await page.getByRole('listitem').getByText('New flow').waitFor();
    expect(await page.evaluate('said.join()')).not.toContain('deleted');
    await page.getByLabel('Scope').selectOption({ label: 'New flow' });
  });

  it('leaves alone what is being typed while nothing changed', async () => {
    pages.platform.workflows = Array.from({ length: 20 }, (_, i) => ({ id: `wf-${i}`, name: `Workflow ${i}` }));
    const { page } = await pages.open();
    const scope = page.getByRole('combobox', { name: 'Scope' });
    await page.getByText('No active API keys').waitFor();
    await scope.click();
    await page.keyboard.type('flow 1');
    const read = page.waitForResponse((response) => response.url().includes('/api/workflows'));
    await comeBack(page);
    await (await read).finished();
    await page.keyboard.type('9');
    await page.keyboard.press('Enter');
    expect(await scope.inputValue()).toBe('Workflow 19');
  });

  it('leaves nothing of an account when another one signs in', async () => {
    pages.platform.workflows = [{ id: 'wf-1', name: 'Flow of the first' }];
    await pages.platform.seed([{ name: 'Open' }]);
    const { page } = await pages.open();
    await page.getByLabel('Key Name').fill('Of the first');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('listitem').filter({ hasText: 'Of the first' }).waitFor();
    await page.getByRole('button', { name: 'Revoke key Open' }).click();
    await page.getByLabel('Key Name').fill('Half typed');
    await page.getByLabel('Scope').selectOption({ label: 'Flow of the first' });

    pages.platform.account = 'account-2';
    pages.platform.workflows = [{ id: 'wf-2', name: 'Flow of the second' }];
    await comeBack(page);
    await page.getByText('No active API keys').waitFor();
    await expect
      .poll(() => page.getByLabel('Scope').locator('option').allInnerTexts())
      .toEqual(['All workflows', 'Flow of the second']);
    expect(await page.content()).not.toMatch(/nk_live_[0-9a-f]{64}|of the first/i);
    expect(await page.getByLabel('Key Name').inputValue()).toBe('');
    expect(await page.getByLabel('Scope').inputValue()).toBe('');
  });

  it('keeps a key that the next account made before the page knew of it', async () => {
    const { page } = await pages.open();
    const create = async (name: string) => {
      await page.getByLabel('Key Name').fill(name);
      await page.getByRole('button', { name: 'Create' }).click();
      await page.getByRole('listitem').filter({ hasText: name }).waitFor();
    };
    await create('Of one');
    pages.platform.account = 'account-2';
    await create('Of two');
    await expect.poll(() => page.getByRole('listitem').count()).toBe(1);
    const shown = await page.getByRole('region', { name: 'API key created' }).allTextContents();
    expect(shown).toEqual([expect.stringContaining('Of two')]);
  });

  it.each(VARIANTS.filter(({ colorScheme }) => colorScheme === 'light'))(
    'never covers what has the focus at $width px with the notice about the session',
    async (variant) => {
      await pages.platform.seed(Array.from({ length: 20 }, (_, i) => ({ name: `Key ${i}` })));
      const { page } = await pages.open({ ...variant, height: 600 });
      await page.getByText('Key 19').waitFor();
      pages.platform.signedIn = false;
      await comeBack(page);
      await page.getByText('Your session has ended').waitFor();
      await page.getByRole('button', { name: 'Revoke key Key 0' }).focus();
      const name = page.getByLabel('Key Name');
      let steps = 0;
      // From the last key backwards to the first field.
      while (!(await name.evaluate((element) => element === document.activeElement))) {
        await page.keyboard.press('Shift+Tab');
        const gap = await page.evaluate(() => {
          const notice = document.querySelector('.session-slot')?.getBoundingClientRect().bottom ?? 0;
          const focused = document.activeElement?.getBoundingClientRect().top ?? 0;
          return focused - notice;
        });
        expect({ steps, covered: gap < 0 }).toEqual({ steps, covered: false });
        steps += 1;
      }
      expect(steps).toBeGreaterThan(40);
    },
  );
});
