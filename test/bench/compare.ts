import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import Table from 'cli-table3';
import { median } from './statistics.js';

const ROUNDS = 3;
const HERE = resolve(import.meta.dirname, '../..');

/** What is read of a report. */
interface Report {
  readonly rows: readonly {
    readonly name: string;
    readonly findings: readonly {
      readonly what: string;
      readonly measured: { value: number; unit: string };
      readonly score: number;
    }[];
  }[];
}

/**
 * Builds another revision in a directory of its own, measures it and this one in turns with the rows of this one, and
 * prints both. Returns the exit code.
 *
 * Dependencies are this revision's while the lock files agree; else the other's own are installed.
 */
export async function compare(revision: string, only: string): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'latchkey-compare-'));
  const tree = join(directory, 'tree');
  const git = (...args: string[]) => execFileSync('git', args, { cwd: HERE, encoding: 'utf8' }).trim();
  const commit = git('rev-parse', '--verify', `${revision}^{commit}`);
  console.error(`building ${revision} (${commit.slice(0, 10)}) …`);
  git('worktree', 'add', '--detach', tree, commit);
  try {
    provideDependencies(tree);
    // The other program, measured by this revision's rulers.
    rmSync(join(tree, 'test'), { recursive: true, force: true });
    cpSync(join(HERE, 'test'), join(tree, 'test'), { recursive: true });
    run(tree, ['build.mjs']);
    const reports: { readonly theirs: Report; readonly ours: Report }[] = [];
    for (let round = 1; round <= ROUNDS; round++) {
      console.error(`round ${round} of ${ROUNDS}`);
      reports.push({ theirs: measure(tree, only, directory), ours: measure(HERE, only, directory) });
    }
    print(revision, reports);
    return 0;
  } finally {
    git('worktree', 'remove', '--force', tree);
    rmSync(directory, { recursive: true, force: true });
  }
}

function provideDependencies(tree: string): void {
  const lock = (root: string) => readFileSync(join(root, 'package-lock.json'), 'utf8');
  if (lock(tree) === lock(HERE)) symlinkSync(join(HERE, 'node_modules'), join(tree, 'node_modules'));
  else if (spawnSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: tree, stdio: 'inherit' }).status !== 0) {
    throw new Error('the dependencies of the other revision could not be installed');
  }
}

function measure(root: string, only: string, directory: string): Report {
  const file = join(directory, 'report.json');
  rmSync(file, { force: true });
  // A missed target is no failure here.
  run(root, ['--import', 'tsx', 'test/bench/main.ts', `--only=${only}`, '--quick', `--json=${file}`], [0, 1]);
  return JSON.parse(readFileSync(file, 'utf8')) as Report;
}

function run(cwd: string, args: readonly string[], accepted: readonly number[] = [0]): void {
  const { status } = spawnSync(process.execPath, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
  if (status === null || !accepted.includes(status)) throw new Error(`${args.join(' ')} failed in ${cwd}`);
}

function print(revision: string, reports: readonly { readonly theirs: Report; readonly ours: Report }[]): void {
  const table = new Table({
    head: ['row', 'what', revision, 'this tree', 'ratio', `score, ${revision}`, 'score, this tree'],
    style: { head: [], border: [] },
  });
  const first = reports[0]?.ours.rows ?? [];
  for (const [r, row] of first.entries()) {
    for (const [f, { what, measured }] of row.findings.entries()) {
      const of = (side: 'theirs' | 'ours', pick: 'measured' | 'score') =>
        median(
          reports.map((report) => {
            const finding = report[side].rows[r]?.findings[f];
            return (pick === 'score' ? finding?.score : finding?.measured.value) ?? Number.NaN;
          }),
        );
      const theirs = of('theirs', 'measured');
      const ours = of('ours', 'measured');
      table.push([
        row.name,
        what,
        `${theirs.toPrecision(4)} ${measured.unit}`,
        `${ours.toPrecision(4)} ${measured.unit}`,
        (ours / theirs).toFixed(3),
        of('theirs', 'score').toPrecision(3),
        of('ours', 'score').toPrecision(3),
      ]);
    }
  }
  console.log(table.toString());
}
