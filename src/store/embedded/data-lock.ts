import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Failure } from '../../domain/failure.js';

/** Gives the directory back. */
export type ReleaseLock = () => Promise<void>;

/** Who holds a directory: a process number is not enough, for numbers are used again (in a container always the same). */
interface Holder {
  readonly pid: number;
  /** When the process began, as the system says it; `''` where it does not. */
  readonly since: string;
}

const LOCK_FILE = 'latchkey.lock';

/**
 * Takes a data directory for this process. Rejects with a `Failure` that names the process which has it.
 *
 * A lock whose process is gone (`kill -9`, power loss) is taken over. Processes in other containers cannot be seen:
 * do not share a data directory between containers.
 */
export async function lockDataDir(dataDir: string): Promise<ReleaseLock> {
  const path = join(dataDir, LOCK_FILE);
  const me: Holder = { pid: process.pid, since: await startOf(process.pid) };
  const text = JSON.stringify(me);
  const mine = `${path}.${randomUUID()}`;
  await writeFile(mine, text, { mode: 0o600 });
  try {
    for (;;) {
      // A link appears whole or not at all, and never over another.
      if (await linked(mine, path)) break;
      const found = await lockText(path);
      // Given back in this very moment.
      if (found === null) continue;
      const holder = parseHolder(found);
      if (holder !== null && (await isAlive(holder))) {
        throw new Failure(
          'conflict',
          `The data directory ${dataDir} is in use by process ${holder.pid}. Stop it first, or set LATCHKEY_DATA_DIR to another directory.`,
        );
      }
      await discard(path, found);
    }
  } finally {
    await rm(mine, { force: true });
  }
  return async () => {
    if ((await readFile(path, 'utf8').catch(() => null)) === text) await rm(path, { force: true });
  };
}

/** What the lock says; `null` when there is none any more. */
async function lockText(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new Failure(
      'unavailable',
      `The lock ${path} cannot be read (${(cause as NodeJS.ErrnoException).code}). If no Latchkey runs on that directory, remove the lock; or set LATCHKEY_DATA_DIR to another directory.`,
      { cause },
    );
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Removes a stale lock, but never another one that took its place in the meantime. */
async function discard(path: string, stale: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if ((await readFile(aside, 'utf8')) !== stale) await linked(aside, path);
  await rm(aside, { force: true });
}

function parseHolder(text: string): Holder | null {
  try {
    const { pid, since } = JSON.parse(text) as Partial<Holder>;
    return Number.isSafeInteger(pid) && (pid as number) > 0 && typeof since === 'string'
      ? { pid: pid as number, since }
      : null;
  } catch {
    return null;
  }
}

async function isAlive({ pid, since }: Holder): Promise<boolean> {
  if (!processExists(pid)) return false;
  const now = await startOf(pid);
  return since === '' || now === '' || now === since;
}

/** Reports whether a process with this number runs, whoever owns it. One that has ended and was not yet buried does not. */
export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  if (process.platform !== 'linux') return true;
  try {
    // In a container whose first process does not bury its children the dead stay around for good.
    return !/^[ZX]/.test(statFields(readFileSync(`/proc/${pid}/stat`, 'utf8'))[0] ?? '');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
}

/** The fields of proc(5) `stat` after the name, from the state on; the name, in brackets, may hold anything. */
function statFields(line: string): readonly string[] {
  return line.slice(line.lastIndexOf(')') + 2).split(' ');
}

/** When a process began, in the system's own words; `''` when unknown. */
async function startOf(pid: number): Promise<string> {
  if (process.platform === 'linux') {
    try {
      const [line, bootId] = await Promise.all([
        readFile(`/proc/${pid}/stat`, 'utf8'),
        readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      ]);
      // Field 22 of the whole: the start, in ticks since the boot.
      return `${bootId.trim()}/${statFields(line)[19]}`;
    } catch {
      return '';
    }
  }
  const { stdout } = await promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)]).catch(() => ({
    stdout: '',
  }));
  return stdout.trim();
}
