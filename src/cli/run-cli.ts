import { CommanderError } from 'commander';
import type { CliContext } from './cli-context.js';
import { toCliFailure } from './cli-failure.js';
import { ExitCode } from './exit-code.js';
import type { Outcome } from './outcome.js';
import { type CommonOptions, createProgram } from './program.js';

/**
 * Runs one command to its end.
 *
 * Standard output carries the answer and nothing else; standard error carries what went wrong, as JSON with `--json`.
 *
 * @param args the arguments after the program's name
 * @returns the exit code; never rejects
 */
export async function runCli(args: readonly string[], context: CliContext): Promise<ExitCode> {
  let exitCode: ExitCode = ExitCode.OK;
  const report = (outcome: Outcome, options: CommonOptions): void => {
    exitCode = outcome.exitCode;
    if (options.json === true) context.out(`${toJson(outcome.json)}\n`);
    else if (outcome.text !== '') context.out(`${outcome.text}\n`);
  };
  const program = createProgram(context, report);
  const configure = (command: typeof program): void => {
    command.exitOverride().configureOutput({ writeOut: context.out, writeErr: context.err });
    for (const each of command.commands) configure(each);
  };
  configure(program);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.OK : ExitCode.USAGE;
    return fail(error, context, args.includes('--json'));
  }
}

function fail(error: unknown, context: CliContext, json: boolean): ExitCode {
  const failure = toCliFailure(error);
  if (json) {
    context.err(
      `${toJson({ error: { message: failure.message, hint: failure.hint, exit_code: failure.exitCode } })}\n`,
    );
  } else {
    context.err(`latchkey: ${failure.message}\n${failure.hint === null ? '' : `  ${failure.hint}\n`}`);
  }
  return failure.exitCode;
}

function toJson(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? Number(each) : each), 2);
}
