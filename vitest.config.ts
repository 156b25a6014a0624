import { defineConfig } from 'vitest/config';

/** Tests that need nothing but this process. */
const plain = (name: string, timeoutMs = 10_000) => ({
  test: { name, include: [`test/${name}/**/*.test.ts`], testTimeout: timeoutMs },
});

/** Tests that use PostgreSQL: one server for the whole run, one database for each file (test/support/database.ts). */
const withDatabase = (name: string, timeoutMs = 30_000) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    globalSetup: ['test/support/database-setup.ts'],
    testTimeout: timeoutMs,
    hookTimeout: 60_000,
  },
});

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
      withDatabase('process', 60_000),
      withDatabase('mesh', 120_000),
      withDatabase('deploy', 240_000),
      withDatabase('browser', 120_000),
      withDatabase('fault', 180_000),
      { test: { name: 'root', include: ['test/*.test.ts'], testTimeout: 10_000 } },
    ],
  },
});
