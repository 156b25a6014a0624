import { beforeEach, describe, expect, it } from 'vitest';
import { CHROMIUM } from './support/chromium.js';
import { pagesUnderTest } from './support/pages-under-test.js';
import { programIsHere } from './support/program-is-here.js';

describe.skipIf(!programIsHere(CHROMIUM))('the search among workflows', { timeout: 60_000 }, () => {
  const pages = pagesUnderTest();

  beforeEach(() => {
    pages.platform.workflows = Array.from({ length: 240 }, (_, i) => ({ id: `wf-${i}`, name: `Workflow ${i}` }));
  });

  async function open() {
    const { page } = await pages.open();
    const scope = page.getByRole('combobox', { name: 'Scope' });
    const error = page.locator('.field', { has: scope }).locator('.field-error');
    const create = () => page.getByRole('button', { name: 'Create' }).click();
    await page.getByText('No active API keys').waitFor();
    await page.getByLabel('Key Name').fill('Scoped');
    return { page, scope, error, create };
  }

  it('is used by keyboard, and Escape keeps what was chosen', async () => {
    const { page, scope, error } = await open();
    await scope.focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    expect(await scope.inputValue()).toBe('Workflow 0');
    expect(await scope.getAttribute('aria-expanded')).toBe('false');
    await page.keyboard.type('xyz');
    await page.getByText('No workflow has this in its name.').waitFor();
    await page.keyboard.press('Escape');
    expect(await scope.inputValue()).toBe('Workflow 0');
    await page.keyboard.press('Tab');
    expect(await scope.inputValue()).toBe('Workflow 0');
    expect(await error.isVisible()).toBe(false);
    expect(await pages.platform.keys()).toEqual([]);
  });

  it.each([
    ['the only workflow with the typed text', ['Workflow 237'], 'wf-237'],
    ['the workflow of exactly this name, in any case', ['workflow 23'], 'wf-23'],
    ['the option that the arrow keys were moved to', ['Workflow 23', 'ArrowDown', 'ArrowDown'], 'wf-231'],
    ['all workflows, when typed in full', ['all workflows'], null],
  ])('takes, when it is left, %s', async (_, [text = '', ...keys], workflowId) => {
    const { page, scope, create } = await open();
    await scope.click();
    await page.keyboard.type(text);
    for (const key of keys) await page.keyboard.press(key);
    await page.getByLabel('Expires').focus();
    await create();
    await page.getByRole('region', { name: 'API key created' }).waitFor();
    expect((await pages.platform.keys()).map((key) => key.workflowId)).toEqual([workflowId]);
  });

  it.each(['Workflow 23x', 'Workflow 1', 'All', 'work'].map((text) => ({ text })))(
    'never turns $text into all workflows',
    async ({ text }) => {
      // `All` and `work` fit one option: all of them.
      const names = ['Nightly', 'Workflow 10', 'Workflow 11'].slice(0, text === 'All' || text === 'work' ? 1 : 3);
      const others = Array.from({ length: 12 }, (_, i) => `Other ${i}`);
      pages.platform.workflows = [...names, ...others].map((name) => ({ id: name, name }));
      const { page, scope, error, create } = await open();
      await scope.click();
      await page.keyboard.type(text);
      await page.getByLabel('Key Name').click();
      await error.getByText('Choose what the key may act on.').waitFor();
      expect(await scope.inputValue()).toBe(text);
      await create();
      expect(await scope.evaluate((element) => element === document.activeElement)).toBe(true);
      expect(await pages.platform.keys()).toEqual([]);

      await scope.fill('Other 11');
      await page.keyboard.press('Tab');
      await error.waitFor({ state: 'hidden' });
      await create();
      await page.getByRole('region', { name: 'API key created' }).waitFor();
      expect((await pages.platform.keys()).map((key) => key.workflowId)).toEqual(['Other 11']);
    },
  );

  it('lets the Tab key go on to the next field while it is open', async () => {
    const { page, scope } = await open();
    await scope.click();
    await page.getByRole('option', { name: 'All workflows' }).waitFor();
    await page.keyboard.press('Tab');
    expect(await page.getByLabel('Expires').evaluate((element) => element === document.activeElement)).toBe(true);
  });

  it('keeps what was chosen when its text is only deleted', async () => {
    const { page, scope } = await open();
    await scope.fill('Workflow 7');
    await page.keyboard.press('Enter');
    await scope.fill('');
    await page.keyboard.press('Tab');
    expect(await scope.inputValue()).toBe('Workflow 7');
  });
});
