import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { launchChromium } from './chromium.js';
import { openPage, type Variant, type WatchedPage } from './open-page.js';
import { TestPlatform } from './test-platform.js';

/** A platform for each test, and the tabs that the test opens on it. */
export interface PagesUnderTest {
  readonly platform: TestPlatform;
  /** Opens the page in a browser profile of its own; closed after the test. */
  open(variant?: Variant, options?: Parameters<typeof openPage>[3]): Promise<WatchedPage>;
  /** Replaces the platform by one with other limits. */
  restart(limits: Parameters<typeof TestPlatform.start>[0]): Promise<TestPlatform>;
}

/**
 * Gives each test of the calling `describe` a platform and a way to open its page, in one browser for all of them.
 *
 * Holds on every page of every test: no script error, no breach of the policy, no request to another host.
 */
export function pagesUnderTest(): PagesUnderTest {
  let browser: Browser;
  let platform: TestPlatform;
  let opened: WatchedPage[] = [];

  beforeAll(async () => {
    browser = await launchChromium();
  }, 60_000);
  afterAll(() => browser.close());
  beforeEach(async () => {
    platform = await TestPlatform.start();
  });
  afterEach(async () => {
    const problems = opened.flatMap((page) => page.problems);
    for (const page of opened) await page.close();
    opened = [];
    await platform.stop();
    if (problems.length > 0) throw new Error(problems.join('\n'));
  });

  return {
    get platform() {
      return platform;
    },
    async open(variant, options) {
      const watched = await openPage(browser, platform.url, variant, options);
      opened.push(watched);
      return watched;
    },
    async restart(limits) {
      await platform.stop();
      platform = await TestPlatform.start(limits);
      return platform;
    },
  };
}
