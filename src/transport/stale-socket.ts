import { lstat, unlink } from 'node:fs/promises';
import { createConnection } from 'node:net';
import type { ListenAddress } from '../config/listen-address.js';

/** How long, in ms, a listener behind a socket file has to accept a connection before it counts as alive but stuck. */
const PROBE_MS = 1000;

/** Removes the socket files that a killed process left behind at these addresses, so that they can be bound again. */
export async function clearSocketFiles(addresses: readonly ListenAddress[]): Promise<void> {
  for (const address of addresses) if (address.kind === 'unix') await removeStaleSocket(address.path);
}

/**
 * Removes the socket file that a killed process left behind, so that its path can be bound again.
 *
 * Removes nothing but a socket that refuses connections. Rejects when the path is something else, or when somebody
 * answers there.
 */
export async function removeStaleSocket(path: string): Promise<void> {
  const stats = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (stats === null) return;
  if (!stats.isSocket()) throw new Error(`cannot listen on unix:${path}: it exists and is not a socket`);
  if (await answers(path)) throw new Error(`cannot listen on unix:${path}: another process is listening there`);
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

/** Whether somebody listens on a socket file. Only a refusal proves that nobody does. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    const settle = (alive: boolean) => {
      socket.destroy();
      resolve(alive);
    };
    socket.setTimeout(PROBE_MS, () => settle(true));
    socket.once('connect', () => settle(true));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      settle(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}
