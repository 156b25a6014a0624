import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { AxeResults } from 'axe-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';

/** Where screenshots are kept; not under version control. */
const ARTEFACTS = join(import.meta.dirname, '..', '..', 'artefacts', 'browser');

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** A screen and a colour scheme. */
export interface Variant {
  readonly width: number;
  readonly height: number;
  readonly colorScheme: 'light' | 'dark';
}

export const VARIANTS: readonly Variant[] = [
  { width: 1280, height: 860, colorScheme: 'light' },
  { width: 1280, height: 860, colorScheme: 'dark' },
  { width: 390, height: 844, colorScheme: 'light' },
  { width: 390, height: 844, colorScheme: 'dark' },
];

/** The first of {@link VARIANTS}, for what does not depend on the screen. */
export const DESKTOP: Variant = { width: 1280, height: 860, colorScheme: 'light' };

/** A page of a browser, watched. */
export interface WatchedPage {
  readonly page: Page;
  /** Errors of scripts, breaches of the policy and requests to other hosts, so far. */
  readonly problems: readonly string[];
  /** Keeps a picture of the whole page. */
  shoot(name: string): Promise<void>;
  /** What axe-core finds wrong, as one line each. */
  axe(): Promise<string[]>;
  /** How many pixels of the page stick out sideways. */
  overflow(): Promise<number>;
  close(): Promise<void>;
}

/** Opens a tab of its own browser profile. */
export async function openPage(
  browser: Browser,
  url: string,
  variant: Variant = DESKTOP,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const { width, height, colorScheme } = variant;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme,
    reducedMotion: 'reduce',
    locale: 'en-GB',
    permissions: ['clipboard-write'],
    ...options,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(`uncaught: ${error.message}`));
  page.on('console', (message) => {
    // An answer of 4xx or 5xx is logged by the browser itself; the tests provoke those.
    const expected = message.text().startsWith('Failed to load resource: the server responded');
    if (['error', 'warning'].includes(message.type()) && !expected) problems.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) problems.push(`request to ${request.url()}`);
  });
  await page.goto(url);
  return {
    page,
    problems,
    async shoot(name) {
      await page.evaluate('scrollTo(0, 0)');
      mkdirSync(ARTEFACTS, { recursive: true });
      await page.screenshot({ path: join(ARTEFACTS, `${name}-${width}-${colorScheme}.png`), fullPage: true });
    },
    async axe() {
      await page.evaluate(AXE);
      const { violations } = await page.evaluate(() =>
        (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
      );
      return violations.flatMap(({ id, impact, nodes }) =>
        nodes.map(({ target }) => `${impact} ${id}: ${target.join(' ')}`),
      );
    },
    overflow: () => page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth'),
    close: () => context.close(),
  };
}
