import { access, constants, stat } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { dirname } from 'node:path';
import type { ListenAddress } from '../../config.js';
import { answered } from './answered.js';
import { codeOf, type Finding, fail, ok, reasonOf, warn } from './finding.js';

/**
 * Tries to bind an address, or finds out who has it.
 *
 * @param sidecarRuns whether a sidecar with these settings runs; `null`: that cannot be told
 */
export async function checkListener(
  variable: string,
  address: ListenAddress,
  sidecarRuns: boolean | null,
): Promise<Finding> {
  const subject = `${variable} ${address.text}`;
  return address.kind === 'unix'
    ? await checkSocket(subject, address.path)
    : await checkPort(subject, address.host, address.port, sidecarRuns);
}

async function checkPort(subject: string, host: string, port: number, sidecarRuns: boolean | null): Promise<Finding> {
  try {
    await answered(bind(host, port));
    return ok(subject, 'free');
  } catch (error) {
    switch (codeOf(error)) {
      case 'EADDRINUSE':
        return takenPort(subject, port, sidecarRuns);
      case 'EACCES':
        return fail(
          subject,
          'this user may not listen there',
          'choose a port from 1024 up, or grant CAP_NET_BIND_SERVICE',
        );
      case 'EADDRNOTAVAIL':
      case 'ENOTFOUND':
        return fail(subject, 'this machine does not have that address', 'choose one that `ip addr` shows, or 0.0.0.0');
      default:
        return fail(subject, reasonOf(error), 'choose another address');
    }
  }
}

function takenPort(subject: string, port: number, sidecarRuns: boolean | null): Finding {
  const naming = `ss -ltnp 'sport = :${port}' names it`;
  switch (sidecarRuns) {
    case true:
      return ok(subject, 'in use, and a sidecar runs here');
    case false:
      return fail(subject, 'another program listens there', `stop it (${naming}), or choose another port`);
    case null:
      return warn(
        subject,
        'in use, and without LATCHKEY_METRICS_ADDRESS it cannot be told by whom',
        `${naming}: if that is no sidecar, stop it, or choose another port`,
      );
  }
}

function bind(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
}

async function checkSocket(subject: string, path: string): Promise<Finding> {
  const folder = dirname(path);
  try {
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    const remedy = codeOf(error) === 'ENOENT' ? `create ${folder}` : `let this user write to ${folder}`;
    return fail(subject, `the socket cannot be made: ${reasonOf(error)}`, remedy);
  }
  const found = await stat(path).catch(() => null);
  if (found === null) return ok(subject, 'free');
  if (!found.isSocket()) return fail(subject, 'something else than a socket is there', `remove ${path}`);
  const inUse = await answered(connects(path)).catch(() => false);
  return ok(subject, inUse ? 'in use' : 'left over from a process that is gone; the next start replaces it');
}

function connects(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
