import type { ApiProblem } from './api-problem.js';

/** The problem in one or two sentences, with when to try again if the server said so. */
export function describeProblem(problem: ApiProblem): string {
  const wait = problem.retryAfterSeconds;
  const text = /[.!?…]$/.test(problem.message) ? problem.message : `${problem.message}.`;
  // A moment is over before it has been read.
  if (wait === null || wait < 5) return text;
  return `${text} Try again in ${wait < 90 ? `${wait} s` : `${Math.ceil(wait / 60)} minutes`}.`;
}
