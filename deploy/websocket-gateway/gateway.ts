import type { Server as HttpServer } from 'node:http';
import { type Decision, type DecisionStream, type LatchkeyClient, type Reason, UndecidedError } from 'latchkey/client';
import { type Socket, Server as SocketServer } from 'socket.io';
import type { Backend } from './backend.js';
import { platformParser, type Refusal, refusalError } from './wire.js';

/** What the platform's SDKs are told when their key is not, or no longer, good. */
const INVALID_KEY = { message: 'Invalid or expired API key', code: 'invalid_api_key' } satisfies Refusal;
const UNAVAILABLE = { message: 'Authorization is not available; try again', code: 'unavailable' } satisfies Refusal;
const FORBIDDEN = 'forbidden';

/** Reasons that are about the key itself: its holder is nobody, whatever the call. */
const KEY_REASONS: ReadonlySet<Reason> = new Set(['KEY_MALFORMED', 'KEY_UNKNOWN', 'KEY_REVOKED', 'KEY_EXPIRED']);

/** A call that any good key may name no workflow for; asked to learn about the key, whatever the answer to the call. */
const ANY_METHOD = 'auth.listCredentials';

/** Most events of one connection that are being worked on; more are refused. */
const EVENTS_MAX = 64;
/** Longest wait, ms, for one decision, with everything that is tried again for it. */
const DECISION_DEADLINE_MS = 2_000;
/** Longest event, in bytes. */
const EVENT_BYTES_MAX = 256 * 1024;
/** How often, ms, held keys are asked about again: an expiry that passes is nobody's revocation. */
const RECHECK_MS = 30_000;
/** How many of them at once, so that events are not kept waiting. */
const RECHECK_AT_ONCE = 100;

/** One connection whose key was good when it connected. */
interface Connection {
  readonly socket: Socket;
  readonly key: string;
  readonly keyId: string;
  /** Set when the key dies; the connection is then closed, or refused if it is not open yet. */
  dead: boolean;
  working: number;
}

/**
 * A Socket.IO gateway in the wire of the platform's SDKs: connect with `{api_key}`, requests as events with
 * `{workflow_id?, …, request_id}`, replies as `response` with `{request_id, data, error?}`.
 *
 * - Every event is decided by Latchkey when it arrives: nothing rests on what was true when the connection was opened.
 * - A connection is closed as soon as its key is revoked.
 * - Without an answer from Latchkey nothing is done, and while revocations are not being heard of nothing is pushed.
 */
export class Gateway {
  private readonly io: SocketServer;
  private readonly decisions: DecisionStream;
  /** For keys that nobody has answered for yet: however many are tried, they hold up no event of a good one. */
  private readonly strangers: DecisionStream;
  private readonly connections = new Map<string, Set<Connection>>();
  private readonly recheckTimer: NodeJS.Timeout;
  private readonly closing = new AbortController();
  /** Whether revocations are being heard of. While not, an open connection is sent nothing of its own accord. */
  private hearing = false;

  constructor(
    server: HttpServer,
    private readonly latchkey: LatchkeyClient,
    private readonly backend: Backend,
  ) {
    this.decisions = latchkey.authorizeStream();
    this.strangers = latchkey.authorizeStream();
    this.io = new SocketServer(server, {
      serveClient: false,
      maxHttpBufferSize: EVENT_BYTES_MAX,
      parser: platformParser,
    });
    this.io.use((socket, next) => {
      void this.admit(socket).then((refusal) => next(refusal === null ? undefined : refusalError(refusal)));
    });
    this.recheckTimer = setInterval(() => void this.recheckAll(), RECHECK_MS);
    this.recheckTimer.unref();
  }

  /** Closes the connections of revoked keys until the gateway is closed. Rejects where that cannot go on. */
  async followRevocations(): Promise<void> {
    try {
      for await (const event of this.latchkey.watchRevocations({ signal: this.closing.signal })) {
        if (event.kind === 'revoked') this.disconnect(event.keyId);
        // After a pause everything is checked: a database that was set back has a history of its own.
        if (event.kind === 'recheck' || !this.hearing) void this.recheckAll();
        this.hearing = event.kind !== 'interrupted';
      }
    } finally {
      this.hearing = false;
    }
  }

  async close(): Promise<void> {
    clearInterval(this.recheckTimer);
    this.closing.abort();
    this.decisions.close();
    this.strangers.close();
    await this.io.close();
  }

  /** Returns `null` to admit a connection, else what to tell it. Never rejects. */
  private async admit(socket: Socket): Promise<Refusal | null> {
    const { api_key: key } = socket.handshake.auth;
    if (typeof key !== 'string') return INVALID_KEY;
    try {
      const first = await this.ask(key, '', ANY_METHOD, this.strangers);
      if (KEY_REASONS.has(first.reason)) return INVALID_KEY;
      const connection: Connection = { socket, key, keyId: first.keyId, dead: false, working: 0 };
      this.register(connection);
      // A revocation that was told before the connection was registered found nothing to close. One that is told after
      // finds it; so whoever is still good now is safe.
      const second = await this.ask(key, '', ANY_METHOD);
      if (connection.dead || KEY_REASONS.has(second.reason)) return INVALID_KEY;
      socket.onAny((event: string, data: unknown) => void this.handle(connection, event, data));
      return null;
    } catch (error) {
      if (isTooLong(error)) return INVALID_KEY;
      if (!(error instanceof UndecidedError)) report(error);
      return UNAVAILABLE;
    }
  }

  private register(connection: Connection): void {
    const { keyId, socket } = connection;
    const siblings = this.connections.get(keyId) ?? new Set();
    this.connections.set(keyId, siblings.add(connection));
    // Of the transport, not of the socket: it closes also when the client goes away before it is admitted.
    socket.conn.once('close', () => {
      siblings.delete(connection);
      if (siblings.size === 0 && this.connections.get(keyId) === siblings) this.connections.delete(keyId);
    });
  }

  /** Works on one event. Never rejects. */
  private async handle(connection: Connection, event: string, data: unknown): Promise<void> {
    if (connection.dead) return;
    const { socket } = connection;
    const fields = isRecord(data) ? data : {};
    const request_id = typeof fields['request_id'] === 'string' ? fields['request_id'] : null;
    const respond = (reply: { data: unknown; error?: string; code?: string }): void => {
      if (request_id !== null && !connection.dead) socket.emit('response', { request_id, ...reply });
    };
    if (connection.working >= EVENTS_MAX) return respond(failure('Too many requests at once', 'overloaded'));
    connection.working++;
    try {
      const workflowId = this.workflowOf(fields);
      if (workflowId === null) return respond(failure('Not allowed: conflicting workflows', FORBIDDEN));
      const answer = await this.ask(connection.key, workflowId, event);
      if (KEY_REASONS.has(answer.reason)) {
        respond(failure(INVALID_KEY.message, INVALID_KEY.code));
        kill(connection);
      } else if (!answer.allowed) {
        respond(failure(`Not allowed: ${answer.reason}`, FORBIDDEN));
      } else {
        respond(await this.call(socket, event, fields, answer, workflowId));
      }
    } catch (error) {
      if (isTooLong(error)) return respond(failure('Not allowed: a name is too long', FORBIDDEN));
      if (!(error instanceof UndecidedError)) report(error);
      respond(failure(UNAVAILABLE.message, UNAVAILABLE.code));
    } finally {
      connection.working--;
    }
  }

  /**
   * The workflow that an event is about: the one that it names, or that of the resource that it names. `null` when the
   * two differ, because a key of the one must not reach into the other.
   */
  private workflowOf(fields: Readonly<Record<string, unknown>>): string | null {
    const named = fields['workflow_id'] ?? '';
    if (typeof named !== 'string') return null;
    const resource = fields['resource_id'];
    if (resource === undefined || resource === null) return named;
    const own = typeof resource === 'string' ? this.backend.workflowOfResource(resource) : null;
    if (own === null || (named !== '' && named !== own)) return null;
    return own;
  }

  private async call(
    socket: Socket,
    event: string,
    fields: Readonly<Record<string, unknown>>,
    answer: Decision,
    workflowId: string,
  ): Promise<{ data: unknown; error?: string }> {
    const room = `workflow:${workflowId}`;
    // Whoever may read or run a workflow hears of its runs.
    if (workflowId !== '' && answer.requiredPermission !== 'write') await socket.join(room);
    const push = (name: string, payload: unknown): void => {
      if (this.hearing) this.io.to(room).emit(name, payload);
    };
    const caller = { accountId: answer.accountId, scope: answer.workflowId, workflowId };
    const result = this.backend.call(event, fields, caller, push);
    return 'error' in result ? { data: null, error: result.error } : { data: result.data };
  }

  private ask(key: string, workflowId: string, method: string, on = this.decisions): Promise<Decision> {
    return on.ask({ key, workflowId, method }, { deadlineMs: DECISION_DEADLINE_MS });
  }

  private disconnect(keyId: string): void {
    for (const connection of this.connections.get(keyId) ?? []) kill(connection);
  }

  /** Asks about every held key again, and closes the connections of those that are no longer good. */
  private async recheckAll(): Promise<void> {
    const holders = [...this.connections.values()].flatMap((siblings) => [...siblings].slice(0, 1));
    for (let at = 0; at < holders.length; at += RECHECK_AT_ONCE) {
      await Promise.all(holders.slice(at, at + RECHECK_AT_ONCE).map((connection) => this.recheck(connection)));
    }
  }

  private async recheck({ key, keyId }: Connection): Promise<void> {
    try {
      const answer = await this.ask(key, '', ANY_METHOD);
      if (KEY_REASONS.has(answer.reason)) this.disconnect(keyId);
    } catch (error) {
      // Undecided: the next event or recheck asks again, and nothing is done meanwhile.
      if (!(error instanceof UndecidedError)) report(error);
    }
  }
}

/** Closes a connection for good, with its transport. */
function kill(connection: Connection): void {
  connection.dead = true;
  connection.socket.disconnect(true);
}

function failure(error: string, code: string): { data: null; error: string; code: string } {
  return { data: null, error, code };
}

/** Whether there is no decision because a key, a workflow or an event is longer than any real one. */
function isTooLong(error: unknown): boolean {
  return error instanceof UndecidedError && error.code === 'INVALID_ARGUMENT';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Never the event's data: it may hold secrets. */
function report(error: unknown): void {
  console.error('websocket gateway:', error instanceof Error ? error.message : 'unexpected error');
}
