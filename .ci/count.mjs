// Prints `passed failed` of one run of vitest, and appends to a file which tests failed and why, to be repeated where it is
// seen: at the end of the run.
//
//   node .ci/count.mjs <report of the JSON reporter> <exit status of vitest> <file to append to>
//
// A file that could not be loaded counts as one failure, and so does a run that failed for a reason of its own.
import { appendFileSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/** Enough of a message to know what was expected and what came instead. */
const LINES = 12;

const [path, status, failures] = process.argv.slice(2);
let passed = 0;
let failed = 0;

function tell(what, message) {
  const lines = stripVTControlCharacters(message ?? '')
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.includes('node_modules'));
  appendFileSync(
    failures,
    `FAILED: ${what}\n${lines
      .slice(0, LINES)
      .map((line) => `  ${line}\n`)
      .join('')}`,
  );
}

try {
  const report = JSON.parse(readFileSync(path, 'utf8'));
  for (const file of report.testResults) {
    const name = relative(process.cwd(), file.name);
    const before = failed;
    for (const test of file.assertionResults) {
      if (test.status === 'passed') passed++;
      else if (test.status === 'failed') {
        failed++;
        tell(`${name}: ${test.fullName} (${Math.round(test.duration ?? 0)} ms)`, test.failureMessages.join('\n'));
      } else console.error(`NOT RUN: ${name}: ${test.fullName}`);
    }
    if (failed === before && file.status === 'failed') {
      failed++;
      tell(name, file.message);
    }
  }
  if (passed + failed === 0) {
    failed = 1;
    tell(path, 'no test ran');
  }
} catch (error) {
  console.error(`no report: ${error.message}`);
}
if (status !== '0' && failed === 0) {
  failed = 1;
  tell(path, `ended with status ${status} although no test failed: a time limit, or an error outside of all tests`);
}
console.log(passed, failed);
