import { status } from '@grpc/grpc-js';
import { channelTo } from '../../src/client/channel.js';
import { AuthorizationServiceClient } from '../../src/gen/latchkey/v1/authorization_service.js';
import { Decision, Reason } from '../../src/gen/latchkey/v1/decision.js';
import { freePort } from '../support/peers-process.js';
import { type Ended, type Env, Program } from '../support/program.js';
import { request } from './request.js';

/** What one question got: a decision, or the name of the gRPC status instead of one. */
export type Answer = 'granted' | 'denied' | 'unknown' | { readonly error: string };

/** Patience of a client, ms. */
const QUESTION_DEADLINE_MS = 1_500;
const METRICS_DEADLINE_MS = 1_000;

/** The built program as a sidecar on fixed ports, and what clients and monitoring see of it. */
export class GameSidecar {
  private program: Program | null = null;
  private client: AuthorizationServiceClient | null = null;
  private linesBefore = 0;

  private constructor(
    readonly name: string,
    private readonly env: Env,
    private readonly ports: { readonly grpc: number; readonly http: number; readonly metrics: number },
    /** Authority of its certificate in PEM; `null`: plain text. */
    readonly ca: string | null,
  ) {}

  /** @param env settings beyond the listeners */
  static async create(name: string, env: Env, ca: string | null = null): Promise<GameSidecar> {
    const ports = { grpc: await freePort(), http: await freePort(), metrics: await freePort() };
    return new GameSidecar(name, env, ports, ca);
  }

  /** `host:port` of gRPC. */
  get grpc(): string {
    return `127.0.0.1:${this.ports.grpc}`;
  }

  /** `host:port` of the metrics listener. */
  get metrics(): string {
    return `127.0.0.1:${this.ports.metrics}`;
  }

  private get scheme(): string {
    return this.ca === null ? 'http' : 'https';
  }

  get pid(): number {
    return this.program?.pid ?? -1;
  }

  get ended(): Promise<Ended> {
    if (this.program === null) throw new Error(`${this.name} was never started`);
    return this.program.ended;
  }

  /** Starts it, again after an end; resolves when it takes traffic. */
  async start(): Promise<void> {
    const program = new Program(['serve'], {
      LATCHKEY_GRPC_ADDRESS: this.grpc,
      LATCHKEY_ADMIN_ADDRESS: '',
      LATCHKEY_HTTP_ADDRESS: `127.0.0.1:${this.ports.http}`,
      LATCHKEY_METRICS_ADDRESS: this.metrics,
      ...this.env,
    });
    this.program = program;
    this.linesBefore = 0;
    await program.ready();
    this.reconnect();
  }

  /** Lets go of the connection, so that the next question makes a new one. */
  reconnect(): void {
    this.client?.close();
    const { credentials, options } = channelTo(this.grpc, this.ca === null ? undefined : { ca: this.ca });
    this.client = new AuthorizationServiceClient(this.grpc, credentials, {
      ...options,
      'grpc.initial_reconnect_backoff_ms': 50,
      'grpc.max_reconnect_backoff_ms': 200,
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.program?.kill(signal);
  }

  ask(key: string): Promise<Answer> {
    const { client } = this;
    if (client === null) return Promise.resolve({ error: 'NOT_CONNECTED' });
    return new Promise((resolve) => {
      client.authorize(
        { key, workflowId: 'w', method: 'nodes.list' },
        { deadline: Date.now() + QUESTION_DEADLINE_MS } as never,
        (error, response) => {
          if (error !== null) resolve({ error: status[error.code] ?? 'UNKNOWN' });
          else if (response.decision === Decision.ALLOW) resolve('granted');
          else resolve(response.reason === Reason.KEY_UNKNOWN ? 'unknown' : 'denied');
        },
      );
    });
  }

  /** Makes it ask the system for memory: many large requests at once. Resolves when it has answered all or has ended. */
  async strain(): Promise<void> {
    const { client } = this;
    if (client === null) return;
    const requests = Array.from({ length: 900 }, () => ({
      key: 'x'.repeat(2_000),
      workflowId: 'w',
      method: 'nodes.list',
    }));
    await Promise.all(
      Array.from(
        { length: 40 },
        () =>
          new Promise<void>((resolve) => {
            client.authorizeBatch({ requests }, () => resolve());
          }),
      ),
    );
  }

  /** One call of the REST interface; status 0: no answer. */
  async rest(
    method: string,
    path: string,
    session: string,
    body?: object,
    patienceMs = 6_000,
  ): Promise<{ readonly status: number; readonly body: Readonly<Record<string, unknown>> }> {
    try {
      const answer = await request(`${this.scheme}://127.0.0.1:${this.ports.http}${path}`, {
        method,
        headers: { cookie: session, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        body: body === undefined ? '' : JSON.stringify(body),
        patienceMs,
        ca: this.ca,
      });
      return { status: answer.status, body: JSON.parse(answer.text) as Record<string, unknown> };
    } catch {
      return { status: 0, body: {} };
    }
  }

  /** Its metrics by name and labels, as written; `null` when it does not answer. */
  async scrape(): Promise<ReadonlyMap<string, number> | null> {
    try {
      const { text } = await request(`${this.scheme}://${this.metrics}/metrics`, {
        patienceMs: METRICS_DEADLINE_MS,
        ca: this.ca,
      });
      const samples = new Map<string, number>();
      for (const line of text.split('\n')) {
        const space = line.lastIndexOf(' ');
        if (!line.startsWith('#') && space > 0) samples.set(line.slice(0, space), Number(line.slice(space + 1)));
      }
      return samples;
    } catch {
      return null;
    }
  }

  /** The first line of its log with this message. */
  logLine(message: string): Readonly<Record<string, unknown>> | undefined {
    return this.program?.log.find((line) => line['message'] === message);
  }

  /** Leaves what it has logged so far out of {@link complaints}. */
  forgetComplaints(): void {
    this.linesBefore = this.program?.log.length ?? 0;
  }

  /** Log lines of at least `warn`, without repetitions. */
  get complaints(): readonly string[] {
    const lines = (this.program?.log.slice(this.linesBefore) ?? []).filter(
      (line) => line['level'] === 'warn' || line['level'] === 'error',
    );
    return [...new Set(lines.map((line) => String(line['message'])))];
  }

  /** Ends it for good. */
  async stop(): Promise<void> {
    this.client?.close();
    this.client = null;
    const program = this.program;
    if (program === null) return;
    program.kill('SIGCONT');
    program.kill('SIGTERM');
    const timer = setTimeout(() => program.kill('SIGKILL'), 15_000);
    await program.ended;
    clearTimeout(timer);
  }
}
