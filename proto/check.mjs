// Checks the .proto files: lint, format, and that nothing breaks clients of what the main branch has.
//
//   node proto/check.mjs
//
// Run from the repository's root. The comparison needs a git repository with a branch `main` (or `origin/main`, as in a
// shallow checkout of another branch) and says so when there is none: a source archive has nothing to compare with.
import { spawnSync } from 'node:child_process';

/** Runs a program and reports whether it succeeded. */
function succeeds(program, args, stdio) {
  return spawnSync(program, args, { stdio }).status === 0;
}

const buf = (...args) => succeeds('node_modules/.bin/buf', args, ['ignore', 'inherit', 'inherit']);
const git = (...args) => succeeds('git', args, 'ignore');

const checks = [
  ['lint', () => buf('lint', 'proto')],
  ['format', () => buf('format', 'proto', '--diff', '--exit-code')],
  [
    'breaking changes',
    () => {
      const base = ['main', 'origin/main'].find((ref) => git('cat-file', '-e', `${ref}:proto/buf.yaml`));
      if (base === undefined) {
        console.warn('proto: no main branch with .proto files to compare with; breaking changes were not checked');
        return true;
      }
      return buf('breaking', 'proto', '--against', `.git#ref=${base},subdir=proto`);
    },
  ],
];

const failed = checks.filter(([, run]) => !run()).map(([name]) => name);
if (failed.length > 0) {
  console.error(`proto: failed: ${failed.join(', ')}`);
  process.exitCode = 1;
}
