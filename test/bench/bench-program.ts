import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { AppAddresses } from '../../src/app.js';
import { systemClock } from '../../src/observability/system-clock.js';
import { FREE_PORTS } from '../support/program.js';

const PROGRAM = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const CONSTANT_SERVICE = new URL('./constant-service.mjs', import.meta.url).href;

/** How a program is started. */
export interface BenchProgramOptions {
  readonly databaseUrl: string;
  /** Cores that it may use, as `taskset -c` takes them; absent: all. */
  readonly cores?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Samples of a Prometheus page by name and labels, e.g. `latchkey_load_keys_count{source="keys"}`. */
export type Samples = ReadonlyMap<string, number>;

/** The built program, with a method that answers a constant beside its own. */
export class BenchProgram {
  private constructor(
    private readonly child: ChildProcess,
    readonly addresses: AppAddresses,
    /** From the start of the process to its word that it takes traffic, in ms. */
    readonly readyAfterMs: number,
  ) {}

  /** Resolves when it takes traffic. */
  static async start({ databaseUrl, cores, env = {} }: BenchProgramOptions): Promise<BenchProgram> {
    if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is not built: run npm run build`);
    const { PATH = '', HOME = '' } = process.env;
    const command = [process.execPath, '--import', CONSTANT_SERVICE, PROGRAM, 'serve'];
    const pinned = cores === undefined ? command : ['taskset', '-c', cores, ...command];
    const startedMs = systemClock.monotonicMs();
    const child = spawn(pinned[0] as string, pinned.slice(1), {
      env: {
        PATH,
        HOME,
        DATABASE_URL: databaseUrl,
        LATCHKEY_SESSION_MODE: 'table',
        ...FREE_PORTS,
        ...env,
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    const ready = new Promise<AppAddresses>((resolve, reject) => {
      createInterface(child.stderr as NodeJS.ReadableStream).on('line', (line) => {
        stderr = `${stderr}${line}\n`.slice(-4000);
        if (line.includes('"message":"ready"')) resolve(JSON.parse(line) as AppAddresses);
      });
      child.once('error', reject);
      child.once('exit', () => reject(new Error(`the program ended:\n${stderr}`)));
    });
    const addresses = await ready;
    return new BenchProgram(child, addresses, systemClock.monotonicMs() - startedMs);
  }

  get grpc(): string {
    return this.addresses.grpc[0] ?? '';
  }

  /** Resident memory now, in MB. */
  get residentMb(): number {
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1000;
  }

  /** Processor time used so far, in ms. */
  get cpuMs(): number {
    const fields = readFileSync(`/proc/${this.child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    // Fields 14 and 15 of proc(5), in hundredths of a second.
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  async metrics(): Promise<Samples> {
    const text = await (await fetch(`${this.addresses.metrics}/metrics`)).text();
    return new Map(
      text
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'))
        .map((line) => {
          const at = line.lastIndexOf(' ');
          return [line.slice(0, at), Number(line.slice(at + 1))] as const;
        }),
    );
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await exited;
  }
}

/** By how much a sample grew. */
export function growth(before: Samples, after: Samples, name: string): number {
  return (after.get(name) ?? 0) - (before.get(name) ?? 0);
}
