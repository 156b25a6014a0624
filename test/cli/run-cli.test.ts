import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SETTINGS } from '../../src/config/settings.js';
import { mintRawKey } from '../../src/domain/raw-key.js';
import { run } from './fake-context.js';

describe('the command line', () => {
  it('prints its version', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect(await run(['--version'])).toEqual({ code: 0, out: `${version}\n`, err: '' });
  });

  it.each([[['--help']], [['keys', '--help']], [['help', 'check']], [['keys', 'help', 'create']]])(
    'explains itself to %j on standard output',
    async (args) => {
      const { code, out, err } = await run(args);
      expect({ code, err }).toEqual({ code: 0, err: '' });
      expect(out).toMatch(/^Usage: latchkey/);
    },
  );

  it('explains the exit codes and every setting', async () => {
    expect((await run(['--help'])).out).toMatch(/Exit codes:\n {2}0 .*\n {2}1 .*\n {2}2 .*\n {2}3 .*\n {2}4 /);
    const { out } = await run(['serve', '--help']);
    for (const { variable } of Object.values(SETTINGS)) expect(out).toContain(`  ${variable}  (default: `);
  });

  it('offers --json on every command that does something', async () => {
    for (const command of [
      ['serve'],
      ['migrate'],
      ['check'],
      ['doctor'],
      ['completion'],
      ...['create', 'list', 'revoke', 'rotate', 'history'].map((name) => ['keys', name]),
    ]) {
      expect((await run([...command, '--help'])).out, command.join(' ')).toContain('--json');
    }
  });

  it.each([
    [[]],
    [['kyes']],
    [['keys']],
    [['keys', 'create']],
    [['keys', 'list', 'extra']],
    [['check', 'key']],
    [['completion', 'tcsh']],
    [['--nonsense']],
  ])('answers %j, which is no command, with 2 and help on standard error', async (args) => {
    const { code, out, err } = await run(args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(/latchkey/);
  });

  it('suggests what was probably meant', async () => {
    expect((await run(['doktor'])).err).toContain('Did you mean doctor?');
  });

  it.each([
    [['keys', 'create', ' ', '--account', 'a'], 'must not be blank'],
    [['keys', 'create', 'x'.repeat(101), '--account', 'a'], 'at most 100 characters'],
    [['keys', 'create', 'x', '--account', 'a', '--permissions', 'read,admin'], '"admin" is no permission'],
    [['keys', 'create', 'x', '--account', 'a', '--permissions', ''], '"" is no permission'],
    [['keys', 'create', 'x', '--account', 'a', '--expires', 'tomorrow'], '--expires must be'],
    [['keys', 'create', 'x', '--account', 'a', '--expires', '2029-12-31T23:59:59Z'], 'in the future'],
    [['keys', 'create', 'x', '--account', 'a', '--expires', '0'], 'in the future'],
    [['keys', 'create', 'x', '--account', 'a', '--expires', '99999999d'], 'before the year 10000'],
    [['keys', 'create', `nk_live_${'0a'.repeat(32)}`, '--account', 'a'], 'must not hold an API key'],
    [['keys', 'rotate', 'id', '--overlap', 'long'], '--overlap must be'],
    [['keys', 'rotate', 'id', '--overlap', '8d'], 'at most 7d'],
    [['check', 'k', 'w', 'm', '--tls-cert', 'a.pem'], 'go together'],
    [['check', 'k', 'w', 'm', '--address', 'nonsense'], '--address must be host:port or unix:/path'],
  ])('refuses %j before anything is tried', async (args, why) => {
    // A database that would be noticed: nothing listens there.
    const { code, out, err } = await run(args, { DATABASE_URL: 'postgres://127.0.0.1:1/none' });
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(why);
  });

  it('wants the account named where there is no default for it', async () => {
    const { code, err } = await run(['keys', 'list'], { DATABASE_URL: 'postgres://127.0.0.1:1/none' });
    expect(code).toBe(2);
    expect(err).toContain('--account');
  });

  it('reports a database that is out of reach with 1, and says who can help', async () => {
    const env = { DATABASE_URL: 'postgres://u:hunter2@127.0.0.1:1/none' };
    const { code, out, err } = await run(['keys', 'list', '--account', 'a'], env);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain('latchkey doctor');
    expect(err).not.toContain('hunter2');
  });

  it('reports errors as JSON when asked to', async () => {
    const { code, out, err } = await run(['keys', 'list', '--json'], { LATCHKEY_LEASE_MS: 'x' });
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(JSON.parse(err)).toEqual({
      error: { message: expect.stringContaining('LATCHKEY_LEASE_MS'), hint: expect.any(String), exit_code: 2 },
    });
  });

  it.each([
    [['doktor', '--json'], "unknown command 'doktor'"],
    [['keys', 'create', '--json'], "missing required argument 'name'"],
    [['keys', 'list', '--nonsense', '--json'], "unknown option '--nonsense'"],
    [['probe', '--json'], "required option '--targets <addresses>' not specified"],
    [['completion', 'tcsh', '--json'], "'tcsh' is invalid"],
  ])('reports %j, which is no command, as JSON too', async (args, message) => {
    const { code, out, err } = await run(args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(JSON.parse(err)).toEqual({
      error: { message: expect.stringContaining(message), hint: expect.stringContaining('--help'), exit_code: 2 },
    });
  });

  it.each([
    [(key: string) => [key]],
    [(key: string) => [`--${key}`]],
    [(key: string) => ['keys', key]],
    [(key: string) => ['completion', key]],
    [(key: string) => ['keys', 'create', 'x', '--account', 'a', '--permissions', key]],
    [(key: string) => ['probe', '--targets', key]],
  ])('does not repeat a raw key that was put where none belongs: %s', async (args) => {
    const key = mintRawKey();
    for (const more of [[], ['--json']]) {
      const { code, err } = await run([...args(key), ...more], { DATABASE_URL: 'postgres://127.0.0.1:1/none' });
      expect(code).toBe(2);
      expect(err).toContain(key.slice(0, 12));
      expect(err).not.toContain(key.slice(12, 30));
    }
  });
});
