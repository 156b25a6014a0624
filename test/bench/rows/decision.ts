import { hashRawKey } from '../../../src/domain/raw-key.js';
import { createDecisionFixture, type FixtureQuestion } from '../decision-fixture.js';
import type { Finding, Row } from '../row.js';
import { median } from '../statistics.js';

const KEYS = 1000;
const SLICE = 20_000;
const ROUNDS = 101;
const WARM_UP_ROUNDS = 10;

/**
 * A decision from memory, in process: well-formedness, hash, lease, look-up of key and owner, rules, usage, metrics.
 *
 * Slices of decisions and of bare hashes of the same keys take turns, and what counts is the processor time that each
 * used, so that neither a neighbour nor a change of clock speed falls on one of them alone.
 */
export const decisionRow: Row = {
  name: 'decision',
  title: 'decision from memory, in process',
  method:
    'Slices of 20 000 decisions over 1 000 keys, in turns with as many bare hashes of the same keys; processor time of the process, median over 101 turns. Everything but the transport is the program’s: stores, lease, clocks, metrics, last use.',
  async run(): Promise<readonly Finding[]> {
    const { authorizer, questions } = await createDecisionFixture(KEYS);
    const decide = ({ rawKey, workflowId }: FixtureQuestion): unknown =>
      authorizer.authorize('authorize', rawKey, workflowId, 'nodes.getOutput');
    const hash = ({ rawKey }: FixtureQuestion): unknown => hashRawKey(rawKey);

    const ratios: number[] = [];
    const decisions: number[] = [];
    const hashes: number[] = [];
    for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
      const before = nanosecondsEach(hash, questions);
      const decision = nanosecondsEach(decide, questions);
      const after = nanosecondsEach(hash, questions);
      if (round < WARM_UP_ROUNDS) continue;
      const bare = (before + after) / 2;
      ratios.push(decision / bare);
      decisions.push(decision);
      hashes.push(bare);
    }
    const measured = { value: median(decisions), unit: 'ns' };
    const ceiling = { value: median(hashes), unit: 'ns', what: 'SHA-256 of the key alone' };
    const perSecond = 1e9 / measured.value;
    return [
      {
        what: 'time of a decision',
        measured,
        ceiling,
        score: median(ratios),
        bound: { atMost: 2.5 },
        detail: { keys: KEYS, rounds: ROUNDS, bestNs: Math.min(...decisions), bestCeilingNs: Math.min(...hashes) },
      },
      {
        what: 'decisions a second and core',
        measured: { value: perSecond, unit: '/s' },
        score: perSecond,
        bound: { atLeast: 700_000 },
      },
    ];
  },
};

/** Processor time of one call, in ns, over a slice; fails if any answer is missing. */
function nanosecondsEach(run: (question: FixtureQuestion) => unknown, questions: readonly FixtureQuestion[]): number {
  const begin = process.cpuUsage();
  let answered = 0;
  for (let i = 0; i < SLICE; i++) if (run(questions[i % questions.length] as FixtureQuestion)) answered++;
  const { user, system } = process.cpuUsage(begin);
  if (answered !== SLICE) throw new Error('a call gave no answer');
  return ((user + system) * 1000) / SLICE;
}
