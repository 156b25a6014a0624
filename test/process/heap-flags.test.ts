import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { HEAP_FLAGS } from '../../src/observability/heap-flags.js';
import { runProgram } from '../support/program.js';
import { passableTempDir } from '../support/temp-dir.js';

/** Reports each flag that the program sets, instead of setting it. */
const REPORTER = `
  require('node:v8').setFlagsFromString = (flag) => process.stderr.write('set ' + flag + '\\n');
  require('node:module').syncBuiltinESMExports();
`;

it('the program sets the flags of its heap before it does anything', async () => {
  const folder = await passableTempDir('latchkey-heap-');
  const reporter = join(folder, 'reporter.cjs');
  await writeFile(reporter, REPORTER);
  const { stderr } = await runProgram(['--version'], { NODE_OPTIONS: `--require=${reporter}` });
  expect(stderr.trim().split('\n')).toEqual(HEAP_FLAGS.map((flag) => `set ${flag}`));
  await rm(folder, { recursive: true, force: true });
});
