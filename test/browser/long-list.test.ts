import { describe, expect, it } from 'vitest';
import { CHROMIUM } from './support/chromium.js';
import { pagesUnderTest } from './support/pages-under-test.js';
import { programIsHere } from './support/program-is-here.js';

describe.skipIf(!programIsHere(CHROMIUM))('a long list of keys', { timeout: 60_000 }, () => {
  const pages = pagesUnderTest();

  async function openWith(count: number, revoked = 0) {
    await pages.platform.seed(Array.from({ length: count }, (_, i) => ({ name: `Key ${i}`, revoked: i < revoked })));
    const { page, axe } = await pages.open();
    await page.getByText(`Key ${count - 1}`, { exact: true }).waitFor();
    const rows = page.getByRole('listitem');
    const more = page.getByRole('button', { name: 'Load more' });
    return { page, axe, rows, more };
  }

  it('is followed to its end', async () => {
    const { page, rows, more } = await openWith(1300, 1200);
    expect(await rows.count()).toBe(50);
    await more.click();
    await page.getByText('Key 1200', { exact: true }).waitFor();
    expect(await more.count()).toBe(0);
    await page.getByLabel('Show revoked keys').check();
    for (let shown = 250; shown < 1300; shown += 200) {
      await expect.poll(() => rows.count()).toBe(shown);
      await more.click();
    }
    // More than the server gives in one answer.
    await expect.poll(() => rows.count()).toBe(1300);
    expect(new Set(await rows.getByRole('heading').allTextContents()).size).toBe(1300);
    expect(await more.count()).toBe(0);
  });

  it('keeps its length and its place after each change', async () => {
    const { page, rows, more } = await openWith(400);
    await more.click();
    await expect.poll(() => rows.count()).toBe(250);
    const far = page.getByRole('listitem').filter({ hasText: 'Key 200' });
    await far.getByRole('button', { name: 'Revoke key' }).click();
    await far.getByRole('button', { name: 'Revoke', exact: true }).click();
    await far.getByText('Refused everywhere').waitFor();
    const before = await page.evaluate(() => scrollY);
    const read = page.waitForResponse((response) => response.url().includes('/api/keys'));
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await (await read).finished();
    await expect.poll(() => page.getByText('Key 149', { exact: true }).count()).toBe(1);
    expect(await rows.count()).toBe(251);
    expect(await page.evaluate(() => scrollY)).toBe(before);
  });

  it('says at its end that no more could be loaded, and loads them at the next attempt', async () => {
    const { page, axe, rows, more } = await openWith(60);
    pages.platform.trouble = 'outage';
    await more.click();
    await page.getByRole('alert').getByText('No more keys could be loaded').waitFor();
    expect(await rows.count()).toBe(50);
    expect(await axe()).toEqual([]);
    pages.platform.trouble = 'none';
    await page.getByRole('button', { name: 'Try again' }).click();
    await expect.poll(() => rows.count()).toBe(60);
    expect(await page.getByText('No more keys could be loaded').count()).toBe(0);
  });
});
