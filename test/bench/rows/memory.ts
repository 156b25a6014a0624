import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Finding, Row } from '../row.js';

const CHILD = fileURLToPath(new URL('../memory-child.ts', import.meta.url));
const MILLION = 1_000_000;
/** Keys an account; a scoped key costs one more string. */
const KEYS_AN_ACCOUNT = 10;

/** Memory of the key cache, in a process of its own, after a forced collection. */
export const memoryRow: Row = {
  name: 'memory',
  title: 'memory of cached keys',
  method:
    'A cache filled by a million look-ups in a process of its own, without anything else in it; heap and external memory after a forced collection, less what there was before, and the resident size then.',
  async run({ say }): Promise<readonly Finding[]> {
    const findings: Finding[] = [];
    for (const scope of ['unscoped', 'scoped'] as const) {
      say(`filling a cache with a million ${scope} keys`);
      const { bytesPerKey, residentMb } = await fill(MILLION, scope);
      findings.push({
        what: `a cached key, ${scope}`,
        measured: { value: bytesPerKey, unit: 'bytes' },
        score: bytesPerKey,
        bound: { atMost: 400 },
        detail: { keys: MILLION, keysAnAccount: KEYS_AN_ACCOUNT },
      });
      findings.push({
        what: `resident with a million keys, ${scope}`,
        measured: { value: residentMb, unit: 'MB' },
        score: residentMb,
        bound: { atMost: 500 },
      });
    }
    return findings;
  },
};

async function fill(
  keys: number,
  scope: string,
): Promise<{ readonly bytesPerKey: number; readonly residentMb: number }> {
  const args = ['--expose-gc', '--import', 'tsx', CHILD, String(keys), String(KEYS_AN_ACCOUNT), scope];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout) as { bytesPerKey: number; residentMb: number };
}
