// Asks the registry for known weaknesses of what the program ships with, and whether the packages are signed by it.
//
//   npm run audit
//
// Fails on a weakness of severity high or above, and on a signature that is wrong. A registry that does not answer such
// questions, as mirrors often do not, is named loudly and is no failure: that says nothing about the packages.
import { spawnSync } from 'node:child_process';

// Said in full: `npm run --silent` would silence what is run here too.
const LIMITS = ['--loglevel=warn', '--fetch-retries=0', '--fetch-timeout=20000'];

const questions = [
  ['known weaknesses', ['audit', '--omit=dev', '--audit-level=high', ...LIMITS]],
  ['signatures of the registry', ['audit', 'signatures', '--omit=dev', ...LIMITS]],
];

/** What npm says when the registry has no answer, and not that something is wrong. */
const NO_ANSWER =
  /audit endpoint returned an error|ENOAUDIT|ECONN|ENOTFOUND|ETIMEDOUT|EAI_AGAIN|ERR_SOCKET|\b40[0-9] |network|no dependencies to audit|No supported keys|E40\d|E50\d/;

let failed = false;
for (const [what, args] of questions) {
  const { status, stdout, stderr } = spawnSync('npm', args, { encoding: 'utf8', timeout: 120_000 });
  const said = `${stdout}${stderr}`.trim();
  if (status === 0) console.log(`${what}: ${said.split('\n').at(-1)}`);
  else if (NO_ANSWER.test(said) && !/severity|invalid registry signature/i.test(said)) {
    console.log(`*** NOT CHECKED: ${what}: the registry does not answer this question`);
  } else {
    console.error(`${what}:\n${said}`);
    failed = true;
  }
}
process.exit(failed ? 1 : 0);
