import { ListenFailure } from '../config/listen-failure.js';
import { type ConfigProblem, describeProblem } from '../config.js';
import { Failure } from '../domain/failure.js';
import { ExitCode } from './exit-code.js';

/** Ends a command with a message for whoever typed it. */
export class CliFailure extends Error {
  override readonly name = 'CliFailure';

  constructor(
    readonly exitCode: ExitCode,
    message: string,
    /** What to do about it. */
    readonly hint: string | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The configuration cannot be used: one line for each problem. */
export class ConfigFailure extends CliFailure {
  constructor(readonly problems: readonly ConfigProblem[]) {
    super(
      ExitCode.USAGE,
      ['the configuration cannot be used:', ...problems.map((problem) => `  ${describeProblem(problem)}`)].join('\n'),
      'latchkey serve --help explains every setting',
    );
  }
}

/** Turns whatever was thrown into what the terminal shows and the exit code says. */
export function toCliFailure(error: unknown): CliFailure {
  if (error instanceof CliFailure) return error;
  if (error instanceof Failure) return fromFailure(error);
  if (error instanceof ListenFailure) {
    return new CliFailure(ExitCode.FAILURE, error.message, 'latchkey doctor says what is in the way', { cause: error });
  }
  const message = error instanceof Error ? error.message : String(error);
  return new CliFailure(ExitCode.FAILURE, message, null, { cause: error });
}

function fromFailure(failure: Failure): CliFailure {
  const cause = failure.cause instanceof Error ? ` (${failure.cause.message})` : '';
  const because = (hint: string | null, exitCode: ExitCode = ExitCode.FAILURE) =>
    new CliFailure(exitCode, failure.message, hint, { cause: failure });
  switch (failure.kind) {
    case 'unconfirmed':
      return because('the change is made; repeat the command to confirm it', ExitCode.UNCONFIRMED);
    case 'invalid-argument':
      return because(null, ExitCode.USAGE);
    case 'unavailable':
    case 'overloaded':
    case 'deadline-exceeded':
      // An operator may see what the driver said; a client of the service may not.
      return new CliFailure(ExitCode.FAILURE, failure.message + cause, 'latchkey doctor says what is wrong');
    case 'not-found':
    case 'conflict':
    case 'limit-reached':
    case 'forbidden':
    case 'history-pruned':
    case 'slow-reader':
      return because(null);
  }
}
