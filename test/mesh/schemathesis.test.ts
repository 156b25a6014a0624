import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type App, createApp } from '../../src/app.js';
import { parseConfig } from '../../src/config.js';
import { testDatabase } from '../support/database.js';
import { RecordingLogger } from '../transport/http/app-under-test.js';
import { schemathesis } from './schemathesis-program.js';

const program = await schemathesis();
/** A call of each kind gets up to this many random cases, after those that the document itself suggests. */
const MOST_EXAMPLES = '210';
const FUZZING_MAY_TAKE_MS = 480_000;
const WORKFLOW = '00000000-0000-4000-8000-000000000001';

describe.skipIf(program === null)('Schemathesis on the OpenAPI document of the running sidecar', async () => {
  const database = await testDatabase();
  const logger = new RecordingLogger();
  const token = randomBytes(24).toString('base64url');
  let directory: string;
  let app: App;
  let url: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'latchkey-schemathesis-'));
    await database.query('INSERT INTO latchkey.workflows (id, account_id, name) VALUES ($1, $2, $3)', [
      WORKFLOW,
      'fuzzed',
      'Nightly report',
    ]);
    await database.query(
      "INSERT INTO latchkey.sessions (token_hash, account_id, expires_at) VALUES ($1, $2, now() + interval '1 day')",
      [createHash('sha256').update(token).digest(), 'fuzzed'],
    );
    const parsed = parseConfig({
      DATABASE_URL: database.url,
      LATCHKEY_SESSION_MODE: 'table',
      LATCHKEY_HTTP_ADDRESS: '127.0.0.1:0',
      LATCHKEY_GRPC_ADDRESS: `unix:${join(directory, 'grpc.sock')}`,
      LATCHKEY_ADMIN_ADDRESS: '',
      LATCHKEY_METRICS_ADDRESS: '',
      // Or the limits would answer for the rules.
      LATCHKEY_MAX_ACTIVE_KEYS: '100000',
      LATCHKEY_KEY_CREATIONS_PER_MINUTE: '100000',
    });
    if ('problems' in parsed) throw new Error(JSON.stringify(parsed.problems));
    app = createApp(parsed.config, { logger, version: 'test', nodeVersion: process.version });
    url = (await app.start()).http ?? '';
  });

  afterAll(async () => {
    await app?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  it(
    'finds no answer that the document does not describe, in thousands of cases and with every check',
    async () => {
      const { code, output } = await fuzz();
      expect({ code, output: code === 0 ? '' : output }).toEqual({ code: 0, output: '' });
      // Kept in the output of the run: how much was tried.
      const [summary, generated] = /(\d+) generated[^\n]*/.exec(output) ?? [];
      console.info(`Schemathesis: ${summary}`);
      expect(Number(generated)).toBeGreaterThan(2000);
      expect(logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
    },
    FUZZING_MAY_TAKE_MS,
  );

  async function fuzz(): Promise<{ code: number; output: string }> {
    const child = spawn(
      program ?? '',
      [
        '--config-file',
        resolve('test/mesh/schemathesis.toml'),
        'run',
        `${url}/api/openapi.json`,
        '--checks',
        'all',
        '--max-examples',
        MOST_EXAMPLES,
        '--seed',
        '1',
        '--no-color',
        '--continue-on-failure',
      ],
      {
        // Schemathesis keeps its example database where it runs.
        cwd: directory,
        env: {
          PATH: process.env.PATH,
          PYTHONPATH: resolve('test/mesh'),
          SCHEMATHESIS_HOOKS: resolve('test/mesh/schemathesis-hooks.py'),
          LATCHKEY_SESSION: token,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    }
    const [code] = await once(child, 'close');
    return { code, output };
  }
});
