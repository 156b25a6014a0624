import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { defaultCatalogue } from '../../src/domain/default-catalogue.js';
import { systemTimers } from '../../src/observability/system-timers.js';
import type { Timers } from '../../src/ports/clock.js';
import { type Logger, silentLogger } from '../../src/ports/logger.js';
import { ROUTES_POLL_MS, type RoutesReload, RoutesWatcher } from '../../src/transport/routes-watcher.js';
import { FakeClock } from '../support/fakes/fake-clock.js';
import { FakeTimers } from '../support/fakes/fake-timers.js';
import { waitUntil } from '../support/wait-until.js';

const A = '- {match: GET /a, method: nodes.list}\n';
const B = '- {match: GET /b, method: nodes.list}\n';
const BROKEN = '- {match: GET /b, method: nodes.fly}\n';

let folder: string;
let file: string;
let watcher: RoutesWatcher | null = null;
let outcomes: RoutesReload[];
let complaints: unknown[];
const logger: Logger = { ...silentLogger, error: (_, fields) => complaints.push(fields?.problems) };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latchkey-routes-'));
  file = join(folder, 'routes.yaml');
  outcomes = [];
  complaints = [];
  await writeFile(file, A);
});

afterEach(async () => {
  watcher?.stop();
  watcher = null;
  await rm(folder, { recursive: true });
});

async function start(timers: Timers = new FakeTimers(new FakeClock())) {
  watcher = await RoutesWatcher.start({
    file,
    methods: defaultCatalogue(),
    timers,
    logger,
    onReload: (outcome) => outcomes.push(outcome),
  });
  return watcher;
}

const knows = (path: string) => watcher?.match('GET', path).kind === 'matched';

describe('a watched routes file', () => {
  test('that cannot be used stops the start with its problems', async () => {
    await writeFile(file, BROKEN);
    await expect(start()).rejects.toThrow(/routes\.yaml:1: "nodes\.fly" is not a method/);
    await rm(file);
    await expect(start()).rejects.toThrow(/cannot be read \(ENOENT\)/);
    await mkdir(file);
    await expect(start()).rejects.toThrow(/cannot be read \(EISDIR\)/);
  });

  test('is in force again when it changes', async () => {
    const watched = await start();
    await writeFile(file, B);
    await watched.reload();
    expect([knows('/a'), knows('/b'), outcomes]).toEqual([false, true, ['loaded']]);
  });

  test('that is broken by a change stays as it was, complains once, and recovers when mended', async () => {
    const watched = await start();
    await writeFile(file, BROKEN);
    await watched.reload();
    await watched.reload();
    expect([knows('/a'), outcomes]).toEqual([true, ['refused']]);
    expect(complaints).toEqual([[expect.stringContaining('routes.yaml:1: "nodes.fly"')]]);
    await rm(file);
    await watched.reload();
    expect([knows('/a'), outcomes]).toEqual([true, ['refused', 'refused']]);
    await writeFile(file, B);
    await watched.reload();
    expect([knows('/b'), outcomes.at(-1)]).toEqual([true, 'loaded']);
  });

  test('that is only touched changes nothing', async () => {
    const watched = await start();
    await writeFile(file, A);
    await watched.reload();
    expect(outcomes).toEqual([]);
  });

  test('is read again for a change that comes during a read', async () => {
    const watched = await start();
    const first = watched.reload();
    await writeFile(file, B);
    await watched.reload();
    await first;
    expect(knows('/b')).toBe(true);
  });

  test('is found by polling where nothing announces the change', async () => {
    const timers = new FakeTimers(new FakeClock());
    await start(timers);
    await writeFile(file, B);
    timers.advance(ROUTES_POLL_MS);
    await waitUntil('the second file is in force', () => knows('/b'));
    await writeFile(file, A);
    await waitUntil('the first is in force again', () => {
      timers.advance(ROUTES_POLL_MS);
      return knows('/a');
    });
  });

  test('is followed when it is replaced by a rename, and through a link as Kubernetes mounts it', async () => {
    await mkdir(join(folder, '..1'));
    await mkdir(join(folder, '..2'));
    await writeFile(join(folder, '..1', 'routes.yaml'), A);
    await writeFile(join(folder, '..2', 'routes.yaml'), B);
    await symlink('..1', join(folder, '..data'));
    await rm(file);
    await symlink(join('..data', 'routes.yaml'), file);
    // By notification: a look at intervals never comes.
    await start({
      after: (delayMs, run) => (delayMs >= ROUTES_POLL_MS ? () => {} : systemTimers.after(delayMs, run)),
    });
    await symlink('..2', join(folder, '..data_tmp'));
    await rename(join(folder, '..data_tmp'), join(folder, '..data'));
    await waitUntil('the second file is in force', () => knows('/b'));
  });

  test('leaves nothing behind when it is stopped', async () => {
    const timers = new FakeTimers(new FakeClock());
    const watched = await start(timers);
    watched.stop();
    expect(timers.pending).toBe(0);
    expect(knows('/a')).toBe(true);
  });
});
