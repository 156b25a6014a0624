import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { AppAddresses } from '../../src/app.js';

const PROGRAM = 'dist/main.js';

/** How long a program may take, in ms, before the test gives up on it. */
const PATIENCE_MS = 45_000;

/** Every listener on a free port of loopback. */
export const FREE_PORTS = {
  LATCHKEY_GRPC_ADDRESS: '127.0.0.1:0',
  LATCHKEY_ADMIN_ADDRESS: '127.0.0.1:0',
  LATCHKEY_HTTP_ADDRESS: '127.0.0.1:0',
  LATCHKEY_METRICS_ADDRESS: '127.0.0.1:0',
} as const;

export type Env = Readonly<Record<string, string>>;

/** How a program ended and what it wrote. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running program. */
export class Program {
  readonly ended: Promise<Ended>;
  private stdout = '';
  private stderr = '';
  private readonly watchers = new Set<() => void>();
  private readonly child: ChildProcess;

  /**
   * Starts the built program with exactly this environment, beside what Node.js needs.
   *
   * @param how another Node.js, and another build, than the ones at hand
   */
  constructor(
    args: readonly string[],
    env: Env,
    input = '',
    { node = process.execPath, program = PROGRAM }: { readonly node?: string; readonly program?: string } = {},
  ) {
    if (!existsSync(program)) throw new Error(`${program} is not built: run npm run build`);
    const { PATH = '', HOME = '', LANG = 'C.UTF-8' } = process.env;
    const child = spawn(node, [program, ...args], { env: { PATH, HOME, LANG, ...env } });
    this.child = child;
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.stdout.setEncoding('utf8').on('data', (text: string) => this.heard(() => (this.stdout += text)));
    child.stderr.setEncoding('utf8').on('data', (text: string) => this.heard(() => (this.stderr += text)));
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        this.heard(() => {});
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  /** The log so far: the lines of standard error that are JSON. */
  get log(): readonly Record<string, unknown>[] {
    return this.stderr
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  get output(): string {
    return this.stdout;
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Resolves with the first log line that has this message; rejects when the program ends without it. */
  async logged(message: string): Promise<Record<string, unknown>> {
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => finish(() => reject(this.complaint(`never logged "${message}"`))), PATIENCE_MS);
      const look = (): void => {
        const line = this.log.find((each) => each.message === message);
        if (line !== undefined) finish(() => resolve(line));
        else if (this.child.exitCode !== null || this.child.signalCode !== null) {
          finish(() => reject(this.complaint(`ended without logging "${message}"`)));
        }
      };
      const finish = (settle: () => void): void => {
        clearTimeout(timer);
        this.watchers.delete(look);
        settle();
      };
      this.watchers.add(look);
      look();
    });
  }

  /** Resolves with the addresses once it takes traffic. */
  async ready(): Promise<AppAddresses> {
    return (await this.logged('ready')) as unknown as AppAddresses;
  }

  private heard(take: () => void): void {
    take();
    for (const watcher of this.watchers) watcher();
  }

  private complaint(what: string): Error {
    return new Error(`the program ${what}\n${this.stdout}\n${this.stderr}`);
  }
}

/** Runs the built program to its end. */
export function runProgram(args: readonly string[], env: Env, input = ''): Promise<Ended> {
  return new Program(args, env, input).ended;
}
