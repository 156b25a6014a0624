import type { Awaitable } from '../../ports/awaitable.js';
import type { Authorizer, Verdict } from '../../service/authorizer.js';
import type { Question } from './authorize-codec.js';

/**
 * Decides every question on its own and keeps their order. At once, not a promise, when every decision is.
 *
 * Rejects, or throws, with the first failure: a batch has no way to say "undecided" of one question, and an answer in
 * its place would be taken for a decision.
 */
export function authorizeBatch(authorizer: Authorizer, questions: readonly Question[]): Awaitable<readonly Verdict[]> {
  const verdicts = new Array<Verdict>(questions.length);
  let pending: Promise<void>[] | undefined;
  try {
    for (let i = 0; i < questions.length; i++) {
      const { key, workflowId, method } = questions[i] as Question;
      const verdict = authorizer.authorize('batch', key, workflowId, method);
      if (verdict instanceof Promise) {
        pending ??= [];
        pending.push(
          verdict.then((value) => {
            verdicts[i] = value;
          }),
        );
      } else verdicts[i] = verdict;
    }
  } catch (error) {
    // Those already asked must not end as unhandled rejections.
    void Promise.allSettled(pending ?? []);
    throw error;
  }
  return pending === undefined ? verdicts : Promise.all(pending).then(() => verdicts);
}
