import { existsSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';

/**
 * Whether a program is installed, by its path or by its name on `PATH`. Where real programs are demanded (`CI=true` or
 * `LATCHKEY_REQUIRE_PEERS=1`) its absence is an error; elsewhere it is said loudly, and its tests are skipped.
 */
export function programIsHere(program: string): boolean {
  const folders = isAbsolute(program) ? [''] : (process.env['PATH'] ?? '').split(delimiter);
  if (folders.some((folder) => existsSync(join(folder, program)))) return true;
  const missing = `${program} is not installed`;
  if (process.env['CI'] === 'true' || process.env['LATCHKEY_REQUIRE_PEERS'] === '1') throw new Error(missing);
  process.stderr.write(`\n*** SKIPPED: browser tests, because ${missing}\n\n`);
  return false;
}
