import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Counts } from './run-schedule.js';
import {
  addCounts,
  type Failing,
  isStale,
  type ProtectionName,
  type SeedRange,
  type SeedsResult,
} from './run-seeds.js';

/** Seeds handed to a worker at a time: a second's work, or a little more. */
const CHUNK = 1000;

/** What to play, and on how many cores. */
export interface ParallelRun {
  readonly from: number;
  readonly count: number;
  readonly without: ProtectionName | null;
  readonly untilStale: boolean;
  readonly jobs: number;
  readonly onProgress: (played: number, failing: number) => void;
}

/**
 * Plays seeds in child processes and adds up what they find; which process plays what makes no difference.
 *
 * The children run one bundled file: what loads TypeScript on the fly keeps the name of every closure, which costs a
 * third of the speed here.
 */
export async function runInParallel(run: ParallelRun): Promise<SeedsResult> {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-simulation-'));
  try {
    const file = join(directory, 'seeds-worker.mjs');
    await build({
      entryPoints: [fileURLToPath(new URL('./seeds-worker.ts', import.meta.url))],
      outfile: file,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      sourcemap: 'inline',
    });
    return await playAll(run, file);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function playAll(run: ParallelRun, file: string): Promise<SeedsResult> {
  const counts: Counts = {};
  const failing: Failing[] = [];
  let next = run.from;
  let played = 0;
  const end = run.from + run.count;
  const work = async () => {
    const child = fork(file, { execArgv: ['--enable-source-maps', '--max-semi-space-size=32'] });
    try {
      while (next < end && !(run.untilStale && failing.some(isStale))) {
        const from = next;
        const count = Math.min(CHUNK, end - from);
        next += count;
        const result = await ask(child, { from, count, without: run.without, untilStale: run.untilStale });
        addCounts(counts, result.counts);
        failing.push(...result.failing);
        played += count;
        run.onProgress(played, failing.length);
      }
    } finally {
      child.disconnect();
    }
  };
  await Promise.all(Array.from({ length: run.jobs }, work));
  failing.sort((a, b) => a.seed - b.seed);
  return { counts, failing };
}

function ask(child: ChildProcess, range: SeedRange): Promise<SeedsResult> {
  return new Promise((resolve, reject) => {
    const died = (code: number | null) => reject(new Error(`a worker ended with exit code ${code}`));
    child.once('exit', died);
    child.once('message', (result) => {
      child.off('exit', died);
      resolve(result as SeedsResult);
    });
    child.send(range);
  });
}
