import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const PAGE_DIR = fileURLToPath(new URL('./page/', import.meta.url));

const DEFAULT_OUT_DIR = fileURLToPath(new URL('../../../../dist/transport/http/settings/assets/', import.meta.url));

/** Browsers of the last three years; `:has()` and `color-mix()` in the style sheet need the same. */
const TARGETS = ['chrome122', 'firefox121', 'safari17.4'];

/**
 * Bundles the Developer settings page in memory.
 *
 * @returns {Promise<Map<string, string>>} file name to text: `page.html`, and scripts, styles and the icon under names
 *   that carry a hash of their content
 */
export async function compilePage() {
  const bundle = await build({
    absWorkingDir: PAGE_DIR,
    entryPoints: { script: 'main.ts', style: 'settings.css' },
    outdir: 'out',
    bundle: true,
    write: false,
    minify: true,
    format: 'esm',
    target: TARGETS,
    charset: 'utf8',
    legalComments: 'none',
    logLevel: 'silent',
  });
  const files = new Map();
  const named = (name, text) => {
    const digest = createHash('sha256').update(text).digest('hex').slice(0, 12);
    const file = name.replace(/(\.\w+)$/, `.${digest}$1`);
    files.set(file, text);
    return file;
  };
  const output = (extension) => bundle.outputFiles.find(({ path }) => path.endsWith(extension)).text;
  const names = {
    script: named('settings.js', output('.js')),
    style: named('settings.css', output('.css')),
    icon: named('icon.svg', await readFile(join(PAGE_DIR, 'icon.svg'), 'utf8')),
  };
  const page = await readFile(join(PAGE_DIR, 'page.html'), 'utf8');
  files.set(
    'page.html',
    page.replace(/\{\{(script|style|icon)\}\}/g, (_, name) => names[name]),
  );
  return files;
}

/**
 * Writes the bundled page to a directory, which is emptied first.
 *
 * @param {{ outDir?: string }} options default: where the compiled plugin looks for it
 */
export async function buildPage({ outDir = DEFAULT_OUT_DIR } = {}) {
  const files = await compilePage();
  await rm(outDir, { recursive: true, force: true });
  await mkdir(outDir, { recursive: true });
  for (const [name, text] of files) await writeFile(join(outDir, name), text);
}
