import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { relevantLines } from './relevant-lines.js';
import { runInParallel } from './run-in-parallel.js';
import { runSchedule } from './run-schedule.js';
import { isStale, PROTECTION_NAMES, type ProtectionName, protectionsWithout } from './run-seeds.js';

const USAGE = `Plays schedules of the coherence protocol and checks what clients saw. One seed is one schedule.

  npm run sim -- --seeds N [--from S] [--jobs J] [--json FILE]   play N seeds; exit code 1 after any violation
  npm run sim -- --seed S [--trace] [--without PROTECTION]       play one seed, with every step of it
  npm run sim -- --seeds N --without PROTECTION|all              show at which seed the missing protection is caught;
                                                                 exit code 1 when it is not

Protections: ${PROTECTION_NAMES.join(', ')}`;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '1000' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      trace: { type: 'boolean', default: false },
      without: { type: 'string' },
      jobs: { type: 'string', default: '1' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    say(USAGE);
    return 0;
  }
  if (values.seed !== undefined) {
    return await playOne(whole('--seed', values.seed), protectionOf(values.without), values.trace);
  }
  const range = {
    from: whole('--from', values.from),
    count: whole('--seeds', values.seeds),
    jobs: whole('--jobs', values.jobs),
  };
  if (values.without === undefined) return await playMany(range, values.json);
  const names = values.without === 'all' ? PROTECTION_NAMES : [protectionOf(values.without) as ProtectionName];
  return await showCaught(range, names, values.json);
}

interface Range {
  readonly from: number;
  readonly count: number;
  readonly jobs: number;
}

async function playOne(seed: number, without: ProtectionName | null, trace: boolean): Promise<number> {
  const result = await runSchedule(seed, protectionsWithout(without), true);
  if (trace) for (const line of result.trace) say(line);
  for (const { rule, detail } of result.violations) say(`${rule}: ${detail}`);
  say(`seed ${seed}: ${result.violations.length} violations in ${result.counts.questions} questions`);
  return result.violations.length === 0 ? 0 : 1;
}

async function playMany(range: Range, jsonFile: string | undefined): Promise<number> {
  const startedAt = new Date();
  const began = performance.now();
  let shownAt = began;
  const { counts, failing } = await runInParallel({
    ...range,
    without: null,
    untilStale: false,
    onProgress: (played, bad) => {
      if (performance.now() - shownAt < 10_000) return;
      shownAt = performance.now();
      say(`  ${played} of ${range.count} schedules, ${bad} with a violation`);
    },
  });
  const seconds = (performance.now() - began) / 1000;
  for (const { seed, violations } of failing.slice(0, 10)) {
    for (const { rule, detail } of violations.slice(0, 3)) say(`seed ${seed}: ${rule}: ${detail}`);
    say(`  replay: npm run sim -- --seed ${seed} --trace`);
  }
  for (const [name, count] of Object.entries(counts).sort()) say(`  ${name.padEnd(32)}${count}`);
  if (jsonFile !== undefined) {
    const record = {
      command: `npm run sim -- ${process.argv.slice(2).join(' ')}`,
      startedAt: startedAt.toISOString(),
      seconds: Math.round(seconds),
      node: process.version,
      from: range.from,
      seeds: range.count,
      schedulesWithViolation: failing.length,
      counts,
    };
    await writeFile(jsonFile, `${JSON.stringify(record, null, 2)}\n`);
  }
  say(
    `${failing.length === 0 ? 'PASSED' : 'FAILED'}: ${failing.length} of ${range.count} schedules broke a promise ` +
      `(seeds ${range.from} to ${range.from + range.count - 1}, ${seconds.toFixed(0)} s)`,
  );
  return failing.length === 0 ? 0 : 1;
}

async function showCaught(
  range: Range,
  names: readonly ProtectionName[],
  jsonFile: string | undefined,
): Promise<number> {
  const rows: { protection: string; firstCaught: number | null; firstStale: number | null; violation: string }[] = [];
  for (const name of names) {
    const { failing } = await runInParallel({ ...range, without: name, untilStale: true, onProgress: () => {} });
    const stale = failing.find(isStale);
    const shown = stale ?? failing[0];
    const violation = shown?.violations.find(({ rule }) => rule === 'R1') ?? shown?.violations[0];
    rows.push({
      protection: name,
      firstCaught: failing[0]?.seed ?? null,
      firstStale: stale?.seed ?? null,
      violation: violation === undefined ? '' : `${violation.rule}: ${violation.detail}`,
    });
    if (shown === undefined || violation === undefined) {
      say(`without ${name}: not caught in ${range.count} schedules`);
      continue;
    }
    say(
      `without ${name}: first caught at seed ${failing[0]?.seed}, ` +
        `first stale grant at seed ${stale?.seed ?? '(none)'}: ${violation.rule}: ${violation.detail}`,
    );
    const { trace } = await runSchedule(shown.seed, protectionsWithout(name), true);
    for (const line of relevantLines(trace, violation)) say(`  ${line}`);
  }
  if (jsonFile !== undefined) await writeFile(jsonFile, `${JSON.stringify(rows, null, 2)}\n`);
  const missed = rows.filter(({ firstCaught }) => firstCaught === null).map(({ protection }) => protection);
  say(
    missed.length === 0
      ? `PASSED: every missing protection was caught within ${range.count} schedules`
      : `FAILED: not caught within ${range.count} schedules: ${missed.join(', ')}`,
  );
  return missed.length === 0 ? 0 : 1;
}

function whole(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`${option} must be a positive whole number`);
  return value;
}

function protectionOf(name: string | undefined): ProtectionName | null {
  if (name === undefined) return null;
  const found = PROTECTION_NAMES.find((known) => known === name);
  if (found === undefined) throw new Error(`--without must be one of ${PROTECTION_NAMES.join(', ')}`);
  return found;
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}\n`);
  return 2;
});
