import type { CliContext } from '../../src/cli/cli-context.js';
import { runCli } from '../../src/cli/run-cli.js';
import type { Environment } from '../../src/config.js';

/** How a command ended and what it wrote. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command inside this process, with nothing of it. */
export async function run(args: readonly string[], env: Environment = {}, input = ''): Promise<Ran> {
  let out = '';
  let err = '';
  const context: CliContext = {
    env,
    user: 'tester',
    clock: { monotonicMs: () => 0, wallMs: () => Date.UTC(2030, 0, 1) },
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    readInput: () => Promise.resolve(input),
    log: { write() {} },
    onStop: () => () => {},
    worker: null,
  };
  const code = await runCli(args, context);
  return { code, out, err };
}
