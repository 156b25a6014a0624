import { isIP, isIPv4, isIPv6 } from 'node:net';

/** Where a listener binds: `host:port` or `unix:/path`. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly text: string }
  | { readonly kind: 'unix'; readonly path: string; readonly text: string };

/** Longest path of a unix socket on Linux, in bytes (`sun_path` without its final NUL). */
const UNIX_PATH_MAX_BYTES = 107;

const PORT_MAX = 65_535;

/** Reads `host:port`, `[IPv6]:port`, `unix:/path` or `unix:///path`; `undefined` when it is none of them. */
export function parseListenAddress(raw: string): ListenAddress | undefined {
  if (raw.startsWith('unix:')) {
    const path = raw.slice('unix:'.length).replace(/^\/\/(?=\/)/, '');
    if (!path.startsWith('/') || path.endsWith('/') || path.includes('\0')) return undefined;
    if (Buffer.byteLength(path) > UNIX_PATH_MAX_BYTES) return undefined;
    return Object.freeze({ kind: 'unix', path, text: `unix:${path}` });
  }
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s/]+)):(\d{1,5})$/.exec(raw);
  if (match === null) return undefined;
  const [, bracketed, plain, digits] = match;
  const host = bracketed ?? plain ?? '';
  const port = Number(digits);
  if (port > PORT_MAX) return undefined;
  if (bracketed !== undefined ? !isIPv6(bracketed) : !isIPv4(host) && !isHostName(host)) return undefined;
  return Object.freeze({ kind: 'tcp', host, port, text: formatTcp(host, port) });
}

/** `host:port`, with brackets around an IPv6 address. */
export function formatTcp(host: string, port: number): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

/** Reports whether only processes of this machine can reach the address. */
export function isLocal(address: ListenAddress): boolean {
  if (address.kind === 'unix') return true;
  const { host } = address;
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function isHostName(host: string): boolean {
  // Digits and dots alone are a mistyped IPv4 address, not a name.
  return (
    host.length <= 253 && !/^[\d.]+$/.test(host) && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9-]+)*\.?$/i.test(host)
  );
}
