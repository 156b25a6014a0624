import type { ConfigProblem, Environment } from '../config.js';
import { SETTINGS } from './settings.js';

const KNOWN = Object.values(SETTINGS).map(({ variable }) => variable);

/** Most edits between what was written and what was meant. */
const TYPO_MAX = 4;

// Kubernetes puts these into every container of a namespace that has a service called `latchkey` or `latchkey-…`.
const KUBERNETES_SERVICE =
  /^LATCHKEY(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/;

/** What the test suite is told. Programs that it starts find them in their environment and have no use for them. */
const TEST_SUITE = ['LATCHKEY_REQUIRE_PEERS', 'LATCHKEY_PEERS_DIR'];

/**
 * A problem for each variable that starts with `LATCHKEY_` but is no setting, with the setting that was probably meant.
 *
 * A misspelt setting would otherwise leave its default in force unnoticed.
 */
export function unknownVariables(env: Environment): ConfigProblem[] {
  return Object.entries(env)
    .filter(([name, value]) => value !== undefined && isUnknown(name))
    .map(([variable]) => {
      const meant = nearest(variable);
      const hint = meant === undefined ? 'latchkey serve --help lists all settings' : `did you mean ${meant}?`;
      // Not a word of its value, which may be a secret: nothing is known about what was meant.
      return { variable, given: `is no setting (${hint})`, allowed: 'unset' };
    });
}

function isUnknown(name: string): boolean {
  if (!name.startsWith('LATCHKEY_') || TEST_SUITE.includes(name) || KUBERNETES_SERVICE.test(name)) return false;
  return !KNOWN.some((known) => known === name);
}

function nearest(name: string): string | undefined {
  const [best] = KNOWN.map((known) => ({ known, edits: distance(name, known) })).sort((a, b) => a.edits - b.edits);
  return best !== undefined && best.edits <= TYPO_MAX ? best.known : undefined;
}

/** Levenshtein's distance: the fewest insertions, deletions and replacements that turn one text into the other. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replace = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
