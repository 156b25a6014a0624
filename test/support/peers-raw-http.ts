import { once } from 'node:events';
import { connect } from 'node:net';

/** An answer over HTTP/1.1. */
export interface RawAnswer {
  readonly status: number;
  /** By lower-case name; a repeated header's last value. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * Sends a request exactly as it is given: no client normalises the target, repairs headers or drops a repeated one.
 * The connection is closed after the answer.
 */
export async function rawRequest(
  port: number,
  method: string,
  target: string,
  headers: readonly (readonly [name: string, value: string])[] = [],
  body = '',
): Promise<RawAnswer> {
  const socket = connect(port, '127.0.0.1');
  const lines = [
    `${method} ${target} HTTP/1.1`,
    'Host: api.example.com',
    'Connection: close',
    ...(body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]),
    ...headers.map(([name, value]) => `${name}: ${value}`),
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  // A proxy that refuses a request before it is read whole may reset the connection after its answer.
  socket.on('error', () => {});
  await once(socket, 'close');
  const text = Buffer.concat(chunks).toString('latin1');
  const end = text.indexOf('\r\n\r\n');
  const [statusLine = '', ...headerLines] = text.slice(0, end === -1 ? undefined : end).split('\r\n');
  const parsed = Object.fromEntries(
    headerLines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const rest = end === -1 ? '' : text.slice(end + 4);
  return {
    status: Number(statusLine.split(' ')[1]),
    headers: parsed,
    body: parsed['transfer-encoding'] === 'chunked' ? unchunked(rest) : rest,
  };
}

function unchunked(text: string): string {
  let body = '';
  for (let at = 0; ; ) {
    const lineEnd = text.indexOf('\r\n', at);
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    if (lineEnd === -1 || !(size > 0)) return body;
    body += text.slice(lineEnd + 2, lineEnd + 2 + size);
    at = lineEnd + 2 + size + 2;
  }
}
