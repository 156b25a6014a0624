import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FREE_PORTS } from '../support/program.js';
import { run } from './fake-context.js';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'latchkey-doctor-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe('the table of the doctor', () => {
  it('shows each mistake of a file on a line of its own', async () => {
    const file = join(dir, 'methods.yaml');
    await writeFile(file, 'methods:\n- 1\n- 2\n');
    // Nothing listens at the database's address: it is not what is looked at here.
    const env = { ...FREE_PORTS, DATABASE_URL: 'postgres://127.0.0.1:1/none', LATCHKEY_METHODS_FILE: file };
    const { out } = await run(['doctor'], env);
    const lines = out.split('\n');
    for (const line of [2, 3]) {
      expect(lines.filter((each) => each.trim().startsWith(`${file}:${line}: `))).toHaveLength(1);
    }
    expect(out).not.toContain('\uFFFD');
  });
});
