import type { Http2Server, ServerHttp2Session } from 'node:http2';
import { types } from 'node:util';
import type { Server } from '@grpc/grpc-js';

/**
 * After how many calls the tables of a connection are replaced by copies. A copy takes in the calls that are open then,
 * few as a rule, and is shared by all of these; a chain of tables keeps no more than these alive.
 */
export const CALLS_BETWEEN_COPIES = 512;

/** What Node.js keeps for a connection, as far as it concerns this. */
interface SessionTables {
  streams: Map<unknown, unknown>;
  pendingStreams: Set<unknown>;
}

/**
 * Keeps finished calls out of the old generation of the heap. Changes nothing else.
 *
 * V8 replaces the table behind a `Map` now and then while entries come and go, and a replaced table points to its
 * successor. Once a replaced table of a connection's calls is in the old generation (any pause in the traffic
 * does that), it keeps its successors alive, and they the calls that were open when they were replaced, until the whole
 * heap is collected: each young collection then copies megabytes of finished calls, which costs a tenth to a quarter of
 * the throughput, and pauses (docs/performance.md). A copy of the table has no predecessor,
 * which ends the chain.
 *
 * The tables are internals of Node.js. Where they are not what they are known to be, they are left alone: then this
 * costs speed, never an answer.
 */
export function keepSessionsYoung(server: Server): void {
  for (const http2Server of http2ServersOf(server)) {
    if (!http2Server.listeners('session').includes(watchSession)) http2Server.on('session', watchSession);
  }
}

/** Its tables; `null` when they are not to be found. */
export function tablesOf(session: ServerHttp2Session): SessionTables | null {
  const key = Object.getOwnPropertySymbols(session).find(({ description }) => description === 'state');
  const state = key === undefined ? undefined : (session as unknown as Record<symbol, unknown>)[key];
  if (typeof state !== 'object' || state === null) return null;
  const { streams, pendingStreams } = state as Partial<SessionTables>;
  return types.isMap(streams) && types.isSet(pendingStreams) ? (state as SessionTables) : null;
}

function watchSession(session: ServerHttp2Session): void {
  const tables = tablesOf(session);
  if (tables === null) return;
  let calls = 0;
  session.on('stream', () => {
    if (++calls < CALLS_BETWEEN_COPIES) return;
    calls = 0;
    tables.streams = new Map(tables.streams);
    tables.pendingStreams = new Set(tables.pendingStreams);
  });
}

/** Those that the library made for its addresses: it does not hand them out. */
function http2ServersOf(server: Server): readonly Http2Server[] {
  const { http2Servers } = server as unknown as { readonly http2Servers?: unknown };
  return types.isMap(http2Servers) ? ([...http2Servers.keys()] as Http2Server[]) : [];
}
