import { CommanderError } from 'commander';
import { redact } from '../observability/redact.js';
import type { CliContext } from './cli-context.js';
import { CliFailure, toCliFailure } from './cli-failure.js';
import { ExitCode } from './exit-code.js';
import type { Outcome } from './outcome.js';
import { type CommonOptions, createProgram } from './program.js';

/**
 * Runs one command to its end.
 *
 * Standard output carries the answer and nothing else; standard error carries what went wrong, as JSON with `--json`, and
 * never a raw key that was put in the wrong place.
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
  // Kept back until it is known whether it is an error, which `--json` wants in another form.
  let complaint = '';
  const writeErr = (text: string): void => {
    complaint += text;
  };
  const configure = (command: typeof program): void => {
    command.exitOverride().configureOutput({ writeOut: context.out, writeErr });
    for (const each of command.commands) configure(each);
  };
  configure(program);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    const json = args.includes('--json');
    if (!(error instanceof CommanderError)) return fail(toCliFailure(error), context, json);
    if (error.exitCode === 0) return ExitCode.OK;
    if (json)
      return fail(new CliFailure(ExitCode.USAGE, messageOf(error), USAGE_HINT, { cause: error }), context, json);
    context.err(redact(complaint));
    return ExitCode.USAGE;
  }
}

const USAGE_HINT = 'latchkey --help lists the commands';

/** Without what commander puts before every message. */
function messageOf(error: CommanderError): string {
  return error.message.replace(/^error: /, '');
}

function fail(failure: CliFailure, context: CliContext, json: boolean): ExitCode {
  const message = redact(failure.message);
  if (json) {
    context.err(`${toJson({ error: { message, hint: failure.hint, exit_code: failure.exitCode } })}\n`);
  } else {
    context.err(`latchkey: ${message}\n${failure.hint === null ? '' : `  ${failure.hint}\n`}`);
  }
  return failure.exitCode;
}

function toJson(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? Number(each) : each), 2);
}
