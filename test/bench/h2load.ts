import { execFile, spawnSync } from 'node:child_process';
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
  /** The messages of each call, without the five bytes that gRPC puts in front; several for a stream. */
  readonly messages: readonly Buffer[];
  readonly requests: number;
  readonly connections: number;
  /** Calls that each connection keeps open. */
  readonly concurrency: number;
  /** Calls a second in all; without it as fast as they are answered. */
  readonly perSecond?: number;
  /** Core of the load; default 0. `null`: any. */
  readonly core?: string | null;
}

const INSTALL = 'h2load is not installed; the rows that need it are left out (Debian: apt-get install nghttp2-client)';

/** Throws {@link Unmeasurable}, with what to install, when the load generator is missing. */
export function requireH2load(): void {
  if (spawnSync('taskset', ['--version']).error !== undefined) {
    throw new Unmeasurable(
      'taskset is not installed; it keeps server and load apart (Debian: apt-get install util-linux)',
    );
  }
  if (spawnSync('h2load', ['--version']).error !== undefined) throw new Unmeasurable(INSTALL);
}

/** Calls a gRPC method with h2load, and fails unless every call ended with HTTP status 200. */
export async function h2load(plan: LoadPlan): Promise<Load> {
  requireH2load();
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-bench-'));
  try {
    const body = join(dir, 'body.bin');
    const log = join(dir, 'log.tsv');
    writeFileSync(body, Buffer.concat(plan.messages.map(framed)));
    const args = ['-n', plan.requests, '-c', plan.connections, '-m', plan.concurrency].map(String);
    if (plan.perSecond !== undefined) args.push('--rps', (plan.perSecond / plan.connections).toFixed(2));
    args.push('-H', 'content-type: application/grpc', '-H', 'te: trailers', '-d', body, '--log-file', log, plan.url);
    const { core = '0' } = plan;
    const pinned = core === null ? ['h2load', ...args] : ['taskset', '-c', core, 'h2load', ...args];
    const { stdout } = await promisify(execFile)(pinned[0] as string, pinned.slice(1), { maxBuffer: 1 << 24 });
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

/** A message as gRPC puts it on the wire, uncompressed. */
function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function readReport(text: string): { readonly succeeded: number; readonly perSecond: number } {
  const succeeded = /(\d+) succeeded/.exec(text)?.[1];
  const perSecond = /, ([\d.]+) req\/s/.exec(text)?.[1];
  if (succeeded === undefined || perSecond === undefined) throw new Error(`h2load reported something else:\n${text}`);
  return { succeeded: Number(succeeded), perSecond: Number(perSecond) };
}
