import { connect } from 'node:net';
import type pg from 'pg';
import { CONNECT_TIMEOUT_MS } from './pool.js';

/** Code of a CancelRequest (PostgreSQL's documentation, "Message Formats"). */
const CANCEL_REQUEST = 80_877_102;

// What the driver knows of a session and does not declare.
interface Session {
  readonly host: string;
  readonly port: number;
  readonly processID: number | null;
  readonly secretKey: number | null;
}

/**
 * Asks the server, by the way it offers for this, to break off what the session is doing. At best effort and without an
 * answer: destroying the connection alone would leave a statement that waits for a lock waiting, one more each time, till
 * the server has no connection left.
 */
export function cancelStatement(client: pg.ClientBase): void {
  const { host, port, processID, secretKey } = client as unknown as Session;
  if (typeof processID !== 'number' || typeof secretKey !== 'number') return;
  const request = Buffer.alloc(16);
  request.writeInt32BE(request.length, 0);
  request.writeInt32BE(CANCEL_REQUEST, 4);
  request.writeInt32BE(processID, 8);
  request.writeInt32BE(secretKey, 12);
  const socket = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
  socket.unref();
  socket.setTimeout(CONNECT_TIMEOUT_MS, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('connect', () => socket.end(request));
}
