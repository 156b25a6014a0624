import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { CHROMIUM } from './support/chromium.js';
import { VARIANTS } from './support/open-page.js';
import { pagesUnderTest } from './support/pages-under-test.js';
import { programIsHere } from './support/program-is-here.js';

const RAW_KEY = /nk_live_[0-9a-f]{64}/;

describe.skipIf(!programIsHere(CHROMIUM))('new keys', { timeout: 60_000 }, () => {
  const pages = pagesUnderTest();

  const bannerOf = (page: Page, name: string) => page.getByRole('region', { name: `shown again ${name}` });

  async function create(page: Page, name: string) {
    await page.getByLabel('Key Name').fill(name);
    await page.getByRole('button', { name: 'Create' }).click();
    await bannerOf(page, name).waitFor();
    await page.getByRole('listitem').filter({ hasText: name }).waitFor();
    return RAW_KEY.exec((await bannerOf(page, name).textContent()) ?? '')?.[0] ?? 'none';
  }

  async function copy(page: Page, name: string) {
    await bannerOf(page, name).getByRole('button', { name: 'Copy', exact: true }).click();
    await bannerOf(page, name).getByText('Copied').waitFor();
  }

  const focusedName = (page: Page) => page.evaluate(() => document.activeElement?.textContent);

  it('stay, one above the other, until they are copied', async () => {
    const { page, axe, shoot } = await pages.open(VARIANTS[2]);
    const first = await create(page, 'First');
    const second = await create(page, 'Second');
    expect(await page.locator('.raw-key').allInnerTexts()).toEqual([second, first]);
    expect(await axe()).toEqual([]);
    await shoot('two-new-keys');
    await copy(page, 'First');
    const third = await create(page, 'Third');
    expect(await page.locator('.raw-key').allInnerTexts()).toEqual([third, second]);
    await copy(page, 'Third');
    await bannerOf(page, 'Third').getByRole('button', { name: 'Dismiss' }).click();
    expect(await focusedName(page)).toContain('Second');
  });

  it('are not lost to a rotation of another key', async () => {
    await pages.platform.seed([{ name: 'Old' }]);
    const { page } = await pages.open();
    const fresh = await create(page, 'Fresh');
    await page.getByRole('button', { name: 'Rotate key Old' }).click();
    await page.getByRole('button', { name: 'Rotate', exact: true }).click();
    await bannerOf(page, 'Old').waitFor();
    expect(await page.locator('.raw-key').allInnerTexts()).toContain(fresh);
  });

  it('are asked about before they are dismissed without having been copied', async () => {
    const { page, axe, shoot } = await pages.open();
    const rawKey = await create(page, 'Precious');
    const banner = bannerOf(page, 'Precious');
    const dismiss = banner.getByRole('button', { name: 'Dismiss', exact: true });
    const question = page.getByRole('group', { name: 'Dismiss "Precious" without copying it?' });
    await dismiss.click();
    await question.waitFor();
    expect(await axe()).toEqual([]);
    await shoot('dismiss-question');
    expect(await focusedName(page)).toBe('Keep it');
    await page.keyboard.press('Escape');
    expect(await focusedName(page)).toBe('Dismiss');
    expect(await page.content()).toContain(rawKey);

    await dismiss.click();
    await copy(page, 'Precious');
    expect(await question.count()).toBe(0);
    await dismiss.click();
    await banner.waitFor({ state: 'detached' });

    const another = await create(page, 'Unwanted');
    await bannerOf(page, 'Unwanted').getByRole('button', { name: 'Dismiss' }).click();
    await page.getByRole('button', { name: 'Dismiss anyway' }).click();
    await bannerOf(page, 'Unwanted').waitFor({ state: 'detached' });
    expect(await page.content()).not.toContain(another);
    expect(await focusedName(page)).toBe('API keys');
  });

  it('are not offered any more once they are revoked', async () => {
    const { page } = await pages.open();
    await create(page, 'Kept');
    const rawKey = await create(page, 'Short-lived');
    await page.getByRole('button', { name: 'Revoke key Short-lived' }).click();
    await page.getByRole('button', { name: 'Revoke', exact: true }).click();
    await page.getByText('Refused everywhere').waitFor();
    expect(await bannerOf(page, 'Short-lived').count()).toBe(0);
    expect(await page.content()).not.toContain(rawKey);
    expect(await bannerOf(page, 'Kept').count()).toBe(1);
  });

  it('replace in their place a key that was rotated away at once', async () => {
    const { page } = await pages.open();
    const old = await create(page, 'Turned');
    await page.getByRole('button', { name: 'Rotate key Turned' }).click();
    await page.getByLabel('Old key stops working').selectOption('Now');
    await page.getByRole('button', { name: 'Rotate', exact: true }).click();
    await page.getByText('refused everywhere after').waitFor();
    expect(await page.locator('.raw-key').count()).toBe(1);
    expect(await page.content()).not.toContain(old);
  });
});
