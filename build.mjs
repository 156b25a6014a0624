// Builds dist/ from src/: compiled modules, the files that they read at run time, and the settings page.
//
//   node build.mjs
//
// What is there stays in use until the new build is whole, and a build that fails changes nothing.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { buildPage } from './src/transport/http/settings/build-page.mjs';

const SOURCE = 'src';
const TARGET = 'dist';
const SETTINGS = join('transport', 'http', 'settings');
const PAGE_SOURCE = join(SOURCE, SETTINGS, 'page');

process.chdir(import.meta.dirname);
// Beside the old one: the source maps are relative.
const fresh = `${TARGET}-${process.pid}`;
try {
  const tsc = join('node_modules', 'typescript', 'bin', 'tsc');
  const compiler = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', fresh], {
    stdio: 'inherit',
  });
  if (compiler.status !== 0) process.exitCode = 1;
  else {
    cpSync(SOURCE, fresh, { recursive: true, filter: isReadAtRunTime });
    await buildPage({ outDir: join(fresh, SETTINGS, 'assets') });
    chmodSync(join(fresh, 'main.js'), 0o755);
    rmSync(TARGET, { recursive: true, force: true });
    renameSync(fresh, TARGET);
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}

/** Everything but what the compiler and the page's builder take care of: migrations, the method catalogue and the like. */
function isReadAtRunTime(path) {
  if (statSync(path).isDirectory()) return relative(PAGE_SOURCE, path) !== '';
  return !/\.(m?ts|mjs|md)$/.test(path) && basename(path) !== 'tsconfig.json';
}
