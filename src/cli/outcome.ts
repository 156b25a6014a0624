import { ExitCode } from './exit-code.js';

/** What a command found or did, for programs and for people. */
export interface Outcome {
  readonly exitCode: ExitCode;
  /** Printed with `--json`. */
  readonly json: unknown;
  /** Printed otherwise, with a newline after it; nothing when empty. */
  readonly text: string;
}

/** A command that did what it was asked to. */
export function done(json: unknown, text: string): Outcome {
  return { exitCode: ExitCode.OK, json, text };
}
