import {
  type ClientHttp2Session,
  connect,
  createServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Server } from '@grpc/grpc-js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { CALLS_BETWEEN_COPIES, keepSessionsYoung, tablesOf } from '../../../src/transport/grpc/young-sessions.js';
import { startGrpcServer, stopGrpcServers, until } from '../../support/grpc.js';

const AUTHORIZE = '/latchkey.v1.AuthorizationService/Authorize';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await stopGrpcServers();
});

function connected(port: number): ClientHttp2Session {
  const client = connect(`http://127.0.0.1:${port}`);
  cleanups.push(() => new Promise<void>((resolve) => client.close(resolve)));
  return client;
}

/** Makes so many calls, one after the other, and resolves with how many were answered with this HTTP status. */
async function call(client: ClientHttp2Session, count: number, status: number): Promise<number> {
  let answered = 0;
  for (let index = 0; index < count; index++) {
    const stream = client.request({ ':method': 'POST', ':path': '/', 'content-type': 'application/grpc' });
    const ended = new Promise<void>((resolve) => stream.on('close', resolve));
    stream.on('response', (headers) => {
      if (headers[':status'] === status) answered++;
    });
    stream.resume().end();
    await ended;
  }
  return answered;
}

describe('the tables of a connection', () => {
  it('are found in this Node.js, for as long as its calls are in them', async () => {
    const server = createServer();
    const seen = new Promise<ServerHttp2Session>((resolve) => server.on('session', resolve));
    const opened = new Promise<ServerHttp2Stream>((resolve) => server.on('stream', resolve));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => server.close());
    const client = connected((server.address() as AddressInfo).port);
    const request = client.request({ ':method': 'POST' });
    const closed = new Promise<void>((resolve) => request.on('close', resolve));
    const tables = tablesOf(await seen);
    const stream = await opened;
    expect([...(tables?.streams.values() ?? [])].includes(stream)).toBe(true);
    expect(tables?.pendingStreams.size).toBe(0);
    stream.resume().respond({ ':status': 200 }, { endStream: true });
    request.resume().end();
    await closed;
    await until(() => tables?.streams.size === 0);
  });

  it('are left alone where they are something else', () => {
    expect(tablesOf({} as ServerHttp2Session)).toBeNull();
    expect(tablesOf({ [Symbol('state')]: null } as unknown as ServerHttp2Session)).toBeNull();
    expect(tablesOf({ [Symbol('state')]: { streams: {} } } as unknown as ServerHttp2Session)).toBeNull();
    expect(() => keepSessionsYoung({} as Server)).not.toThrow();
  });

  it('are copied now and then by the server, and every call is answered', async () => {
    const binding = vi.spyOn(Server.prototype, 'bindAsync');
    cleanups.push(() => binding.mockRestore());
    const { address } = await startGrpcServer();
    const server = binding.mock.contexts[0] as unknown as Server;
    const [http2Server] = (
      server as unknown as { http2Servers: Map<ReturnType<typeof createServer>, unknown> }
    ).http2Servers.keys();
    const listeners = http2Server?.listenerCount('session');
    // As for a further address.
    keepSessionsYoung(server);
    expect(http2Server?.listenerCount('session')).toBe(listeners);
    const seen = new Promise<ServerHttp2Session>((resolve) => http2Server?.on('session', resolve));
    const client = connected(Number(address.split(':').at(-1)));
    const tables = tablesOf(await seen);
    const [first, pending] = [tables?.streams, tables?.pendingStreams];

    // Stays open over the copy.
    const held = client.request({ ':method': 'POST', ':path': AUTHORIZE, 'content-type': 'application/grpc' });
    const closed = new Promise<void>((resolve) => held.on('close', resolve));
    // No method has the path of these: the library answers with a status of gRPC, in a response of 200.
    expect(await call(client, CALLS_BETWEEN_COPIES - 2, 200)).toBe(CALLS_BETWEEN_COPIES - 2);
    expect(tables?.streams).toBe(first);
    expect(await call(client, 1, 200)).toBe(1);
    expect(tables?.streams).not.toBe(first);
    expect(tables?.pendingStreams).not.toBe(pending);
    await until(() => tables?.streams.size === 1);
    expect([...(tables?.streams.keys() ?? [])]).toEqual([held.id]);
    held.resume().end();
    await closed;
    const second = tables?.streams;
    expect(await call(client, CALLS_BETWEEN_COPIES - 1, 200)).toBe(CALLS_BETWEEN_COPIES - 1);
    expect(tables?.streams).toBe(second);
    await until(() => tables?.streams.size === 0);
  });
});
