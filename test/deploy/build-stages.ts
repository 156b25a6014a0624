import { execFile } from 'node:child_process';
import { cp, mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type { Stage } from './dockerfile.js';

/** Longest time, in ms, of one RUN. */
const RUN_MAX_MS = 180_000;

/**
 * Does what a container builder would do with COPY, WORKDIR and RUN, in folders of this machine instead of images: the
 * files are those of the image, the system around them is not.
 *
 * @param context the folder that COPY reads from
 * @param target an empty folder; each stage gets a folder in it
 * @returns the root of the last stage
 */
export async function buildStages(stages: readonly Stage[], context: string, target: string): Promise<string> {
  let root = '';
  for (const [index, stage] of stages.entries()) {
    root = join(target, stage.name ?? String(index));
    let workdir = root;
    await mkdir(workdir, { recursive: true });
    for (const { keyword, text } of stage.instructions) {
      if (keyword === 'WORKDIR') {
        workdir = join(root, text);
        await mkdir(workdir, { recursive: true });
      } else if (keyword === 'COPY') await copy(text, workdir, context, target);
      else if (keyword === 'RUN') await run(text, workdir);
    }
  }
  return root;
}

async function copy(text: string, workdir: string, context: string, target: string): Promise<void> {
  const words = text.split(' ');
  const from = words.find((word) => word.startsWith('--from='))?.slice('--from='.length);
  const paths = words.filter((word) => !word.startsWith('--'));
  const destination = paths.pop() ?? '.';
  const source = from === undefined ? context : join(target, from);
  for (const path of paths) {
    const into = destination.endsWith('/') || destination === '.' || paths.length > 1;
    const to = into ? join(workdir, destination, basename(path)) : join(workdir, destination);
    await cp(join(source, path), to, { recursive: true, verbatimSymlinks: true });
  }
}

async function run(text: string, workdir: string): Promise<void> {
  const command = text.replace(/--mount=\S+\s*/g, '');
  const { PATH = '', HOME = '' } = process.env;
  // Not what the tests were started with: a CI that says NODE_ENV or npm_config would make another image.
  await promisify(execFile)('/bin/sh', ['-c', command], { cwd: workdir, env: { PATH, HOME }, timeout: RUN_MAX_MS });
}
