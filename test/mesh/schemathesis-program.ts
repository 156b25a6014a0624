import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const VERSION = '4.32.5';
const ENVIRONMENT = resolve('node_modules/.cache', `schemathesis-${VERSION}`);
const PROGRAM = join(ENVIRONMENT, 'bin', 'schemathesis');

/**
 * The path of Schemathesis, installed from PyPI into a cached environment of its own; `null` when that cannot be done.
 *
 * Where peers are demanded (`CI=true` or `LATCHKEY_REQUIRE_PEERS=1`) its absence is an error; elsewhere it is said
 * loudly and the tests are skipped.
 */
export async function schemathesis(): Promise<string | null> {
  if (existsSync(PROGRAM)) return PROGRAM;
  try {
    await mkdir(resolve('node_modules/.cache'), { recursive: true });
    await run('python3', ['-m', 'venv', ENVIRONMENT]);
    await run(
      join(ENVIRONMENT, 'bin', 'pip'),
      ['install', '--quiet', '--disable-pip-version-check', `schemathesis==${VERSION}`],
      {
        timeout: 240_000,
      },
    );
    return PROGRAM;
  } catch (error) {
    // A half-made environment must not be taken for a whole one.
    await rm(ENVIRONMENT, { recursive: true, force: true });
    const message = `Schemathesis ${VERSION} cannot be installed: ${error}`;
    if (process.env.CI === 'true' || process.env.LATCHKEY_REQUIRE_PEERS === '1') throw new Error(message);
    console.error(`\n*** SKIPPED: the fuzzer on the OpenAPI document. ${message} ***\n`);
    return null;
  }
}
