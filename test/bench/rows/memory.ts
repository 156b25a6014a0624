import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Finding, Row } from '../row.js';

const CHILD = fileURLToPath(new URL('../memory-child.mjs', import.meta.url));
const MILLION = 1_000_000;
/** Keys of an account share the account's strings, and those scoped to one workflow that one's. */
const FILLS = [
  { what: '10 keys an account', perAccount: 10, scope: 'unscoped', target: true },
  { what: '10 keys an account and workflow', perAccount: 10, scope: 'scoped', target: true },
  { what: 'one key an account and workflow', perAccount: 1, scope: 'scoped', target: false },
] as const;

/** Memory of the key cache, in a process of its own, after a forced collection. */
export const memoryRow: Row = {
  name: 'memory',
  title: 'memory of cached keys',
  method:
    'A cache filled by a million look-ups in a process of its own, without anything else in it; heap and external memory after a forced collection, less what there was before, and the resident size then.',
  async run({ say }): Promise<readonly Finding[]> {
    const findings: Finding[] = [];
    for (const { what, perAccount, scope, target } of FILLS) {
      say(`filling a cache with a million keys, ${what}`);
      const { bytesPerKey, residentMb } = await fill(perAccount, scope);
      findings.push({
        what: `a cached key, ${what}`,
        measured: { value: bytesPerKey, unit: 'bytes' },
        score: bytesPerKey,
        bound: { atMost: 400 },
      });
      findings.push({
        what: `resident with a million, ${what}`,
        measured: { value: residentMb, unit: 'MB' },
        score: residentMb,
        // Nothing can be shared between such keys; the target is for accounts as they are.
        ...(target ? { bound: { atMost: 500 } } : {}),
      });
    }
    return findings;
  },
};

async function fill(
  perAccount: number,
  scope: string,
): Promise<{ readonly bytesPerKey: number; readonly residentMb: number }> {
  const args = ['--expose-gc', CHILD, String(MILLION), String(perAccount), scope];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout) as { bytesPerKey: number; residentMb: number };
}
