import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Unmeasurable } from './row.js';
import { percentiles } from './statistics.js';

/** What h2load saw. */
export interface Load {
  readonly perSecond: number;
  /** In ms. */
  readonly latency: Record<'p50' | 'p95' | 'p99', number>;
}

/** How to load. */
export interface LoadPlan {
  readonly url: string;
  /** The message, without the five bytes that gRPC puts in front. */
  readonly message: Buffer;
  readonly requests: number;
  readonly connections: number;
  /** Calls that each connection keeps open. */
  readonly concurrency: number;
  /** Calls a second in all; without it as fast as they are answered. */
  readonly perSecond?: number;
}

/** Calls a unary gRPC method with h2load, and fails unless every call ended with HTTP status 200. */
export async function h2load(plan: LoadPlan): Promise<Load> {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-bench-'));
  try {
    const body = join(dir, 'body.bin');
    const log = join(dir, 'log.tsv');
    const length = Buffer.alloc(5);
    length.writeUInt32BE(plan.message.length, 1);
    writeFileSync(body, Buffer.concat([length, plan.message]));
    const args = ['-n', plan.requests, '-c', plan.connections, '-m', plan.concurrency].map(String);
    if (plan.perSecond !== undefined) args.push('--rps', (plan.perSecond / plan.connections).toFixed(2));
    args.push('-H', 'content-type: application/grpc', '-H', 'te: trailers', '-d', body, '--log-file', log, plan.url);
    const { stdout } = await runOnCore(0, 'h2load', args);
    const { succeeded, perSecond } = readReport(stdout);
    if (succeeded !== plan.requests) throw new Error(`${plan.requests - succeeded} of ${plan.requests} calls failed`);
    const micros = readFileSync(log, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => Number(line.split('\t')[2]));
    const { p50, p95, p99 } = percentiles(micros);
    return { perSecond, latency: { p50: p50 / 1000, p95: p95 / 1000, p99: p99 / 1000 } };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function runOnCore(core: number, command: string, args: readonly string[]): Promise<{ readonly stdout: string }> {
  try {
    return await promisify(execFile)('taskset', ['-c', String(core), command, ...args], { maxBuffer: 1 << 24 });
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string };
    if (code === 'ENOENT') throw new Unmeasurable('taskset (util-linux) is not installed');
    if (code === 127) throw new Unmeasurable('h2load is not installed (Debian: apt-get install nghttp2-client)');
    throw new Error(`h2load failed: ${stderr ?? String(error)}`);
  }
}

function readReport(text: string): { readonly succeeded: number; readonly perSecond: number } {
  const succeeded = /(\d+) succeeded/.exec(text)?.[1];
  const perSecond = /, ([\d.]+) req\/s/.exec(text)?.[1];
  if (succeeded === undefined || perSecond === undefined) throw new Error(`h2load reported something else:\n${text}`);
  return { succeeded: Number(succeeded), perSecond: Number(perSecond) };
}
