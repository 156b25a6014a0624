import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';

/** The built page: file name to text, `page.html` among them. */
export type PageAssets = ReadonlyMap<string, string>;

/**
 * Reads the page that was built beside this file. In a source tree, where nothing is built, bundles it now.
 *
 * Rejects when neither is possible: a package without its page is broken, and should not start.
 */
export async function loadPageAssets(): Promise<PageAssets> {
  const built = new URL('./assets/', import.meta.url);
  if (existsSync(built)) {
    const names = await readdir(built);
    return new Map(
      await Promise.all(names.map(async (name) => [name, await readFile(new URL(name, built), 'utf8')] as const)),
    );
  }
  const builder = new URL('./build-page.mjs', import.meta.url).href;
  const { compilePage } = (await import(/* @vite-ignore */ builder)) as { compilePage(): Promise<PageAssets> };
  return compilePage();
}
