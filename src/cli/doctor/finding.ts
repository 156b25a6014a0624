/** How bad a finding is: only `fail` makes the doctor's exit code tell of trouble. */
export type Severity = 'ok' | 'warn' | 'fail';

/** What one check found. */
export interface Finding {
  /** What was looked at, in a word or two. */
  readonly subject: string;
  readonly severity: Severity;
  /** What was seen. */
  readonly detail: string;
  /** How to mend it; `null` when there is nothing to mend. */
  readonly remedy: string | null;
}

export function ok(subject: string, detail: string): Finding {
  return { subject, severity: 'ok', detail, remedy: null };
}

export function warn(subject: string, detail: string, remedy: string): Finding {
  return { subject, severity: 'warn', detail, remedy };
}

export function fail(subject: string, detail: string, remedy: string): Finding {
  return { subject, severity: 'fail', detail, remedy };
}

/** The text of an error, and of an `AggregateError` without one of its own that of its parts. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}

/** The code of a system or database error, or `''`. */
export function codeOf(error: unknown): string {
  if (error instanceof AggregateError && !('code' in error)) return codeOf(error.errors[0]);
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : '';
  return typeof code === 'string' ? code : '';
}
