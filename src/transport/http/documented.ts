import { PROBLEMS, type ProblemName, problemType } from './problem.js';

/** What a route can answer: its success, and each problem it may have, in the form that fastify and OpenAPI share. */
export function answers(
  success: Readonly<Record<number, unknown>>,
  problems: Readonly<Partial<Record<ProblemName, string>>>,
): Record<number, unknown> {
  const byStatus = new Map<number, [ProblemName, string][]>();
  for (const [kind, detail] of Object.entries(problems) as [ProblemName, string][]) {
    const { status } = PROBLEMS[kind];
    byStatus.set(status, [...(byStatus.get(status) ?? []), [kind, detail]]);
  }
  return {
    ...success,
    ...Object.fromEntries([...byStatus].map(([status, kinds]) => [status, problemAnswer(status, kinds)])),
  };
}

const RETRY_AFTER = {
  'Retry-After': { type: 'string', pattern: '^[0-9]+$', description: 'Seconds to wait before trying again.' },
};
const ALLOW = { Allow: { type: 'string', description: 'The methods that this address knows.' } };

function problemAnswer(status: number, kinds: readonly [ProblemName, string][]): object {
  const headers = status === 429 || status === 503 ? RETRY_AFTER : status === 405 ? ALLOW : undefined;
  return {
    description: kinds.map(([kind, detail]) => `\`${problemType(kind)}\`: ${detail}`).join('\n\n'),
    ...(headers === undefined ? {} : { headers }),
    content: {
      'application/problem+json': {
        schema: { $ref: 'Problem#' },
        examples: Object.fromEntries(kinds.map(([kind, detail]) => [kind, { value: exampleOf(kind, detail) }])),
      },
    },
  };
}

function exampleOf(kind: ProblemName, detail: string): object {
  return {
    type: problemType(kind),
    title: PROBLEMS[kind].title,
    status: PROBLEMS[kind].status,
    detail,
    instance: 'urn:uuid:0b6e3a52-5d2f-4d0e-9f43-5a2f4f6f3f10',
    ...(kind === 'invalid' ? { errors: [{ field: 'name', pointer: '/name', message: 'must not be blank' }] } : {}),
  };
}
