// Builds dist/ from src/: compiled modules, the files that they read at run time, and the settings page.
//
//   node build.mjs
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, rmSync, statSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';

const SOURCE = 'src';
const TARGET = 'dist';
const PAGE_SOURCE = join(SOURCE, 'transport', 'http', 'settings', 'page');
const PAGE_BUILDER = join(SOURCE, 'transport', 'http', 'settings', 'build-page.mjs');

process.chdir(import.meta.dirname);
rmSync(TARGET, { recursive: true, force: true });

const tsc = join('node_modules', 'typescript', 'bin', 'tsc');
const compiled = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { stdio: 'inherit' });
if (compiled.status !== 0) process.exit(1);

cpSync(SOURCE, TARGET, { recursive: true, filter: isReadAtRunTime });
if (existsSync(PAGE_BUILDER)) {
  const { buildPage } = await import(pathToFileURL(PAGE_BUILDER).href);
  await buildPage();
}
chmodSync(join(TARGET, 'main.js'), 0o755);

/** Everything but what the compiler and the page's builder take care of: migrations, the method catalogue and the like. */
function isReadAtRunTime(path) {
  if (statSync(path).isDirectory()) return relative(PAGE_SOURCE, path) !== '';
  return !/\.(ts|mjs|md)$/.test(path) && basename(path) !== 'tsconfig.json';
}
