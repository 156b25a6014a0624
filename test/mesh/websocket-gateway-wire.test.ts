import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type Decision,
  type DecisionStream,
  type LatchkeyClient,
  type Reason,
  UndecidedError,
  type WatchEvent,
} from 'latchkey/client';
import { io, type Socket } from 'socket.io-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ExampleBackend } from '../../deploy/websocket-gateway/backend.js';
import { Gateway } from '../../deploy/websocket-gateway/gateway.js';
import { NIGHTLY_REPORT } from '../support/peers-sidecar.js';

import { waitUntil } from '../support/wait-until.js';

const REFUSAL = { message: 'Invalid or expired API key', code: 'invalid_api_key' };

/** What the watch tells, as far as a test cares. */
type Told = { kind: 'revoked'; keyId: string } | { kind: 'heartbeat' | 'recheck' | 'interrupted' };

/** What Latchkey would say, in the hands of a test. Every key is its own id. */
class ScriptedLatchkey {
  readonly asked: string[] = [];
  /** The methods asked on each stream. */
  readonly streams: string[][] = [];
  answer: (key: string, method: string) => Promise<Reason> | Reason = () => 'GRANTED';
  private readonly told: WatchEvent[] = [];
  private wake: () => void = () => {};
  taken = 0;

  tell(...events: readonly Told[]) {
    for (const event of events) {
      const common = { sequence: 1n, accountId: 'dev', appId: '', revokedAt: null };
      this.told.push({ ...common, ...event } as WatchEvent);
    }
    this.wake();
  }

  readonly client: LatchkeyClient = {
    authorize: () => Promise.reject(new Error('not asked')),
    authorizeBatch: () => Promise.reject(new Error('not asked')),
    authorizeStream: () => this.stream(),
    watchRevocations: ({ signal } = {}) => this.watch(signal as AbortSignal),
    close: () => {},
  };

  private stream(): DecisionStream {
    const methods: string[] = [];
    this.streams.push(methods);
    return {
      ask: async ({ key, workflowId = '', method }) => {
        this.asked.push(key);
        methods.push(method);
        const reason = await this.answer(key, method);
        const allowed = reason === 'GRANTED';
        return { allowed, reason, keyId: key, accountId: 'dev', workflowId, requiredPermission: 'read' } as Decision;
      },
      close: () => {},
    };
  }

  private async *watch(signal: AbortSignal): AsyncGenerator<WatchEvent> {
    signal.addEventListener('abort', () => this.wake());
    while (!signal.aborted) {
      const event = this.told.shift();
      if (event !== undefined) {
        yield event;
        this.taken++;
      } else await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}

let latchkey: ScriptedLatchkey;
let server: Server;
let gateway: Gateway;
let following: Promise<void>;
let url: string;
const sockets: Socket[] = [];

beforeEach(async () => {
  latchkey = new ScriptedLatchkey();
  server = createServer();
  gateway = new Gateway(server, latchkey.client, new ExampleBackend());
  following = gateway.followRevocations();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.disconnect();
  await gateway.close();
  await following;
});

/** Connects as the SDKs for JavaScript do; resolves with the socket, or what the error says. */
function connect(key: string): Promise<Socket> {
  const socket = io(url, { auth: { api_key: key }, transports: ['websocket'], reconnection: false, forceNew: true });
  sockets.push(socket);
  return new Promise((resolve, reject) => {
    socket.once('connect', () => resolve(socket));
    socket.once('connect_error', reject);
  });
}

/** What was pushed and replied, in order, up to the reply to this request. */
function run(socket: Socket): Promise<string[]> {
  const heard: string[] = [];
  return new Promise((resolve) => {
    const listen = (event: string) => {
      heard.push(event);
      if (event !== 'response') return;
      socket.offAny(listen);
      resolve(heard);
    };
    socket.onAny(listen);
    socket.emit('workflow:execute', { workflow_id: NIGHTLY_REPORT, request_id: 'r' });
  });
}

async function tell(...events: readonly Told[]): Promise<void> {
  const all = latchkey.taken + events.length;
  latchkey.tell(...events);
  await waitUntil('the gateway has heard', () => latchkey.taken >= all);
}

describe('the wire of the example gateway', () => {
  /** Speaks Engine.IO by long polling, a packet at a time. */
  async function packets(connectPayload: unknown): Promise<string> {
    const base = `${url}/socket.io/?EIO=4&transport=polling`;
    const opened = await (await fetch(base)).text();
    const { sid } = JSON.parse(opened.slice(1));
    const session = `${base}&sid=${sid}`;
    await (await fetch(session, { method: 'POST', body: `40${JSON.stringify(connectPayload)}` })).text();
    return await (await fetch(session)).text();
  }

  test.each<[string, unknown]>([
    ['bad', { api_key: 'bad' }],
    ['missing', {}],
  ])('refuses a key that is %s with its message and code at the top of the packet', async (_, payload) => {
    latchkey.answer = () => 'KEY_UNKNOWN';
    const packet = await packets(payload);
    // Engine.IO "message", Socket.IO CONNECT_ERROR.
    expect(packet.slice(0, 2)).toBe('44');
    expect(JSON.parse(packet.slice(2))).toEqual({ ...REFUSAL, data: REFUSAL });
  });

  test('says the same where a key is longer than any, and another thing where nobody can decide', async () => {
    latchkey.answer = () => Promise.reject(new UndecidedError('INVALID_ARGUMENT', 'too long'));
    expect(JSON.parse((await packets({ api_key: 'x' })).slice(2))).toMatchObject(REFUSAL);
    latchkey.answer = () => Promise.reject(new UndecidedError('UNAVAILABLE', 'nobody'));
    expect(JSON.parse((await packets({ api_key: 'x' })).slice(2))).toMatchObject({ code: 'unavailable' });
  });

  test('leaves every other packet as Socket.IO has it', async () => {
    const packet = await packets({ api_key: 'good' });
    expect(packet).toMatch(/^40\{"sid":"[^"]+"\}$/);
  });
});

describe('the example gateway and its watch', () => {
  test('pushes from the first word of the watch on, and not while it is interrupted', async () => {
    const socket = await connect('a');
    expect(await run(socket)).toEqual(['response']);
    await tell({ kind: 'heartbeat' });
    const pushed = ['workflow:node:output', 'workflow:node:output', 'workflow:complete', 'response'];
    expect(await run(socket)).toEqual(pushed);
    await tell({ kind: 'interrupted' });
    expect(await run(socket)).toEqual(['response']);
    await tell({ kind: 'heartbeat' });
    expect(await run(socket)).toEqual(pushed);
  });

  test('closes the connections of a key that is revoked, and no other', async () => {
    const [doomed, kept] = [await connect('a'), await connect('b')];
    await tell({ kind: 'heartbeat' }, { kind: 'revoked', keyId: 'a' });
    await waitUntil('the connection is closed', () => doomed.disconnected);
    expect(await run(kept)).toContain('response');
  });

  test.each<[string, readonly Told[]]>([
    ['begins', [{ kind: 'heartbeat' }]],
    ['goes on after an interruption', [{ kind: 'heartbeat' }, { kind: 'interrupted' }, { kind: 'heartbeat' }]],
    ['may have missed something', [{ kind: 'heartbeat' }, { kind: 'recheck' }]],
  ])('asks about every key that it holds when the watch %s', async (_, events) => {
    const last = events.slice(-1);
    const [dead, good] = [await connect('a'), await connect('b')];
    await tell(...events.slice(0, -1));
    await waitUntil('what came before is checked', () => latchkey.asked.length >= 4 + (events.length > 1 ? 2 : 0));
    latchkey.answer = (key) => (key === 'a' ? 'KEY_EXPIRED' : 'GRANTED');
    await tell(...last);
    await waitUntil('the connection is closed', () => dead.disconnected);
    expect(await run(good)).toContain('response');
  });

  test('lets keys that are tried hold up no event of a good one', async () => {
    const socket = await connect('a');
    latchkey.answer = (key) => (key === 'a' ? 'GRANTED' : new Promise(() => {}));
    connect('stranger').catch(() => {});
    await waitUntil('the stranger is asked about', () => latchkey.asked.includes('stranger'));
    await run(socket);
    const events = latchkey.streams.filter((methods) => methods.includes('workflow:execute'));
    expect(events).toHaveLength(1);
    // Of the admissions only the second question of the good key, never the stranger's.
    expect(events[0]).toEqual(['auth.listCredentials', 'workflow:execute']);
  });

  test('refuses a key whose revocation is told while it is being admitted', async () => {
    await tell({ kind: 'heartbeat' });
    let release: (reason: Reason) => void = () => {};
    latchkey.answer = () => (latchkey.asked.length === 1 ? 'GRANTED' : new Promise((resolve) => (release = resolve)));
    const refused = expect(connect('a')).rejects.toMatchObject({ data: REFUSAL });
    await waitUntil('it is asked about again', () => latchkey.asked.length === 2);
    await tell({ kind: 'revoked', keyId: 'a' });
    // An answer from before the revocation.
    release('GRANTED');
    await refused;
  });

  test('refuses a key that is revoked between the two questions of its admission', async () => {
    latchkey.answer = () => (latchkey.asked.length === 1 ? 'GRANTED' : 'KEY_REVOKED');
    await expect(connect('a')).rejects.toMatchObject({ message: REFUSAL.message, data: REFUSAL });
  });
});
