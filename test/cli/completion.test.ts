import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { run } from './fake-context.js';

const script = async (shell: string) => (await run(['completion', shell])).out;

/** What bash offers for the last of these words. */
async function offered(words: readonly string[]): Promise<string[]> {
  const program = `${await script('bash')}
    COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})
    COMP_CWORD=${words.length - 1}
    _latchkey
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { status, stdout, stderr } = spawnSync('bash', ['--norc', '-c', program], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout.split('\n').filter((line) => line !== '');
}

describe('completion', () => {
  it('offers the commands', async () => {
    expect(await offered(['latchkey', ''])).toEqual(
      expect.arrayContaining(['serve', 'migrate', 'keys', 'check', 'doctor', 'probe', 'completion']),
    );
  });

  it('offers what begins like the word', async () => {
    expect(await offered(['latchkey', 'do'])).toEqual(['doctor']);
    expect(await offered(['latchkey', 'keys', 're'])).toEqual(['revoke']);
    expect(await offered(['latchkey', 'keys', 'create', '--ac'])).toEqual(['--account']);
    expect(await offered(['latchkey', 'completion', ''])).toEqual(expect.arrayContaining(['bash', 'zsh', 'fish']));
  });

  it('offers the options of a command after its arguments too', async () => {
    expect(await offered(['latchkey', 'keys', 'create', 'my key', '--exp'])).toEqual(['--expires']);
    expect(await offered(['latchkey', 'keys', 'create', '--json', '--work'])).toEqual(['--workflow']);
  });

  it.each(['zsh', 'fish'])('knows every command in %s', async (shell) => {
    const text = await script(shell);
    for (const word of [
      'serve',
      'migrate',
      'revoke',
      'rotate',
      'history',
      'doctor',
      'probe',
      'overlap',
      'check-config',
      'targets',
    ]) {
      expect(text).toContain(word);
    }
  });

  it('can be asked for as JSON', async () => {
    const { code, out } = await run(['completion', 'fish', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ shell: 'fish', script: expect.stringContaining('complete -c latchkey') });
  });
});
