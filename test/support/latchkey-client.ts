import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLatchkeyClient, type LatchkeyClient, type LatchkeyClientOptions } from '../../src/client/index.js';
import type { ListenAddress } from '../../src/config.js';
import { closing } from './grpc.js';

/** A question that the fake authorizer grants. */
export const QUESTION = { key: 'k', workflowId: 'w', method: 'm' };

/** A client with time enough for a busy machine; closed with the test's servers. */
export function clientOf(address: string | string[], options: Partial<LatchkeyClientOptions> = {}): LatchkeyClient {
  return closing(createLatchkeyClient({ address, deadlineMs: 10_000, ...options }));
}

/** A unix socket to listen at, again and again, and a function that removes its folder. */
export async function unixAddress(): Promise<{
  readonly address: ListenAddress;
  readonly remove: () => Promise<void>;
}> {
  const dir = await mkdtemp(join(tmpdir(), 'latchkey-client-'));
  const path = join(dir, 'grpc.sock');
  return {
    address: { kind: 'unix', path, text: `unix:${path}` },
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}

/** Has `run` done and returns the warnings that Node.js gave meanwhile. */
export async function warningsOf(run: () => Promise<unknown>): Promise<readonly Error[]> {
  const warnings: Error[] = [];
  const remember = (warning: Error) => void warnings.push(warning);
  process.on('warning', remember);
  try {
    await run();
    // Warnings are told in a later turn.
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off('warning', remember);
  }
  return warnings;
}
