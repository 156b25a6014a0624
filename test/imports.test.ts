import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type SourceFile, sourceViolations } from './support/source-rules.js';

function sourceFiles(): SourceFile[] {
  return readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|mjs)$/.test(name) && !name.startsWith(`gen${sep}`))
    .map((name) => join('src', name))
    .map((path) => ({ path: path.split(sep).join('/'), text: readFileSync(path, 'utf8') }));
}

const violationsOf = (path: string, text: string) => sourceViolations([{ path, text }]);

describe('the source', () => {
  it('has imports that point inwards only, and keeps clocks, timers and the process where they belong', () => {
    const files = sourceFiles();
    expect(files.length).toBeGreaterThan(50);
    expect(sourceViolations(files)).toEqual([]);
  });
});

describe('the rules', () => {
  it.each([
    ['src/domain/decide.ts', "import type { Clock } from '../ports/clock.js';"],
    ['src/ports/clock.ts', "export { KeyService } from '../service/keys.js';"],
    ['src/service/keys.ts', "import { RevocationBarrier } from '../coherence/revocation-barrier.js';"],
    ['src/coherence/lease.ts', "import { KeyService } from '../service/keys.js';"],
    ['src/store/cached-key-store.ts', "import { pool } from './postgres/pool.js';"],
    ['src/store/postgres/pool.ts', "import { start } from '../embedded/embedded-postgres.js';"],
    ['src/store/postgres/pool.ts', "import { jsonLogger } from '../../observability/json-logger.js';"],
    ['src/transport/grpc/server.ts', "import { problem } from '../http/problem.js';"],
    ['src/transport/http/app.ts', "import { Reason } from '../../gen/latchkey/v1/decision.js';"],
    ['src/transport/http/app.ts', "const { pool } = await import('../../store/postgres/pool.js');"],
    ['src/transport/http/settings/page/main.ts', "import '../../../../domain/permissions.js';"],
    ['src/app.ts', "import { runCli } from './cli/run-cli.js';"],
    ['src/service/keys.ts', "import {\n  a,\n  b,\n} from '../app.js';"],
    ['src/helpers/misc.ts', ''],
  ])('forbid %s: %s', (path, text) => {
    expect(violationsOf(path, text)).toHaveLength(1);
  });

  it.each([
    ['src/app.ts', 'const port = process.env.PORT;'],
    ['src/cli/serve.ts', 'process.exit(1);'],
    ['src/service/keys.ts', 'const now = Date.now();'],
    ['src/service/keys.ts', 'const now = new Date();'],
    ['src/coherence/lease.ts', 'const now = performance.now();'],
    ['src/coherence/lease-driver.ts', 'setTimeout(run, 5);'],
    ['src/store/postgres/pool.ts', "import { setTimeout as sleep } from 'node:timers/promises';"],
  ])('forbid in %s: %s', (path, text) => {
    expect(violationsOf(path, text)).toHaveLength(1);
  });

  it.each([
    ['src/main.ts', 'process.exit(await run(process.argv, process.env));'],
    ['src/app.ts', "import { pool } from './store/postgres/pool.js';"],
    ['src/transport/grpc/server.ts', "import { extract } from '../extract.js';"],
    ['src/service/keys.ts', '// Nothing here reads process.env or Date.now().'],
    ['src/service/keys.ts', '/** Unlike setTimeout( this is a comment. */\nconst at = new Date(atMs);'],
    ['src/domain/catalogue.ts', "import data from './methods.json' with { type: 'json' };"],
  ])('allow in %s: %s', (path, text) => {
    expect(violationsOf(path, text)).toEqual([]);
  });
});
