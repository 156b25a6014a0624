import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

describe('a program that is started by hand', () => {
  it.each(['bench', 'gameday', 'scale', 'simulation'])('explains itself and does nothing else: %s', async (name) => {
    const args = ['node_modules/tsx/dist/cli.mjs', `test/${name}/main.ts`, '--help'];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/npm run \w+ --/);
  });
});
