import { defineConfig } from 'vitest/config';

/** Tests that need nothing but this process. */
const plain = (name: string, timeoutMs = 10_000) => ({
  test: { name, include: [`test/${name}/**/*.test.ts`], testTimeout: timeoutMs },
});

/** Tests that use PostgreSQL: one server for the whole run, one database for each file (test/support/database.ts). */
const withDatabase = (folder: string, timeoutMs = 30_000, name = folder) => ({
  test: {
    name,
    include: [`test/${folder}/**/*.test.ts`],
    globalSetup: ['test/support/database-setup.ts'],
    testTimeout: timeoutMs,
    hookTimeout: 60_000,
  },
});

/**
 * Tests that need real programs of others, or minutes: not part of `npm test`. One prefix, because several negated
 * `--project` patterns select everything.
 */
const apart = (folder: string, timeoutMs: number) => withDatabase(folder, timeoutMs, `apart-${folder}`);

/** One project a tier; `vitest run --project integration` runs one. */
export default defineConfig({
  test: {
    // Most files wait for a database or a socket more than they compute.
    maxWorkers: 4,
    projects: [
      plain('domain'),
      plain('coherence'),
      plain('service'),
      plain('observability'),
      plain('architecture'),
      plain('simulation', 120_000),
      plain('config'),
      plain('cli'),
      plain('store'),
      plain('transport', 20_000),
      plain('client', 20_000),
      withDatabase('contract'),
      withDatabase('integration', 60_000),
      withDatabase('process', 120_000),
      apart('mesh', 120_000),
      apart('deploy', 240_000),
      apart('browser', 120_000),
      apart('fault', 180_000),
      { test: { name: 'root', include: ['test/*.test.ts'], testTimeout: 10_000 } },
    ],
  },
});
