import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

let current: string | null = null;

/** Mounts a disk of so many MB; resolves with its directory, or with `null` where this process may not mount. */
export async function mountSmallDisk(megabytes: number): Promise<string | null> {
  if (process.getuid?.() !== 0) return null;
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-disk-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=711`, 'tmpfs', directory]);
  } catch {
    await rm(directory, { recursive: true, force: true });
    return null;
  }
  await chmod(directory, 0o711);
  current = directory;
  return directory;
}

/** Takes all that is left of the small disk; resolves with the name of the file that holds it. */
export async function fillDisk(): Promise<string> {
  if (current === null) throw new Error('there is no small disk');
  const file = join(current, 'filler');
  await writeFile(file, '');
  // In pieces, because all that is left is not known to the byte.
  for (const kilobytes of [4_096, 256, 4]) {
    for (;;) {
      try {
        await run('sh', ['-c', `head -c ${kilobytes}k /dev/zero >> '${file}'`]);
      } catch {
        break;
      }
    }
  }
  return file;
}

/** Gives the room back. */
export async function freeDisk(file: string): Promise<void> {
  await rm(file, { force: true });
}

/** Takes the small disk away, with all that is on it. */
export async function unmountSmallDisk(): Promise<void> {
  if (current === null) return;
  const directory = current;
  current = null;
  await run('umount', ['-l', directory]);
  await rm(directory, { recursive: true, force: true });
}
