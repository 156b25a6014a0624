// Prints `passed failed` of one run of vitest.
//
//   node .ci/count.mjs <report of the JSON reporter> <exit status of vitest>
//
// A file that could not be loaded counts as one failure, and so does a run that failed for a reason of its own.
import { readFileSync } from 'node:fs';

const [path, status] = process.argv.slice(2);
let passed = 0;
let failed = 0;
try {
  const report = JSON.parse(readFileSync(path, 'utf8'));
  for (const file of report.testResults) {
    const failures = file.assertionResults.filter((test) => test.status === 'failed').length;
    passed += file.assertionResults.filter((test) => test.status === 'passed').length;
    failed += failures === 0 && file.status === 'failed' ? 1 : failures;
    for (const test of file.assertionResults) {
      if (test.status !== 'passed' && test.status !== 'failed')
        console.error(`NOT RUN: ${file.name}: ${test.fullName}`);
    }
  }
  if (passed + failed === 0) failed = 1;
} catch (error) {
  console.error(`no report: ${error.message}`);
}
if (status !== '0' && failed === 0) failed = 1;
console.log(passed, failed);
