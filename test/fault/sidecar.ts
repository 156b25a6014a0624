import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Client, credentials } from '@grpc/grpc-js';
import type { AppAddresses } from '../../src/app.js';
import { AuthorizeRequest, AuthorizeResponse } from '../../src/gen/latchkey/v1/authorization_service.js';
import { Decision, Reason } from '../../src/gen/latchkey/v1/decision.js';
import type { Protections } from '../../src/ports/protections.js';
import { FaultyProxy } from './faulty-proxy.js';

/** How one sidecar of a run is set up. */
export interface SidecarOptions {
  readonly name: string;
  /** Where PostgreSQL is now. */
  readonly databasePort: number;
  /** Connection URL with host and port left as `@HOST`. */
  readonly databaseUrl: (port: number) => string;
  readonly leaseMs: number;
  readonly protections: Partial<Protections>;
}

/** Patience of a client that asks, ms: a paused sidecar counts as one that does not answer. */
const QUESTION_DEADLINE_MS = 1500;

/**
 * One sidecar process and what a client knows of it: an address to ask and an address to send a DELETE to.
 *
 * It reaches PostgreSQL through two proxies, one for queries and the coherence protocol, one for LISTEN.
 */
export class Sidecar {
  private child: ChildProcess | null = null;
  private client: Client | null = null;
  private http = '';
  /** SIGSTOPped, or down. */
  impaired = false;
  /** Answers, but cannot confirm a revocation. */
  unconfirming = false;

  private constructor(
    private readonly options: SidecarOptions,
    readonly queries: FaultyProxy,
    readonly listen: FaultyProxy,
  ) {}

  static async start(options: SidecarOptions): Promise<Sidecar> {
    const sidecar = new Sidecar(
      options,
      await FaultyProxy.start(options.databasePort),
      await FaultyProxy.start(options.databasePort),
    );
    await sidecar.launch();
    return sidecar;
  }

  get name(): string {
    return this.options.name;
  }

  /** Starts the process, again after `kill`. */
  async launch(): Promise<void> {
    const env = {
      DATABASE_URL: this.options.databaseUrl(this.queries.port),
      LATCHKEY_LISTEN_DATABASE_URL: this.options.databaseUrl(this.listen.port),
      LATCHKEY_GRPC_ADDRESS: '127.0.0.1:0',
      LATCHKEY_ADMIN_ADDRESS: '',
      LATCHKEY_HTTP_ADDRESS: '127.0.0.1:0',
      LATCHKEY_METRICS_ADDRESS: '127.0.0.1:0',
      LATCHKEY_SESSION_MODE: 'table',
      LATCHKEY_LEASE_MS: String(this.options.leaseMs),
      LATCHKEY_POOL_SIZE: '4',
      LATCHKEY_WORKFLOW_OWNERSHIP: 'trust',
      LATCHKEY_KEY_CREATIONS_PER_MINUTE: '100000',
      LATCHKEY_LOG_LEVEL: 'error',
    };
    const argument = JSON.stringify({ env, protections: this.options.protections });
    const child = fork(fileURLToPath(new URL('./sidecar-process.ts', import.meta.url)), [argument], {
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let stderr = '';
    child.stderr?.on('data', (chunk) => {
      stderr = (stderr + String(chunk)).slice(-4000);
    });
    this.child = child;
    const outcome = await Promise.race([
      once(child, 'message').then(([message]) => message as AppAddresses),
      once(child, 'exit').then(() => null),
    ]);
    if (outcome === null) throw new Error(`${this.name} did not start: ${stderr}`);
    this.http = outcome.http ?? '';
    this.client?.close();
    // Reconnects at once: how fast a client finds a restarted sidecar is not what is tested.
    this.client = new Client(outcome.grpc[0] ?? '', credentials.createInsecure(), {
      'grpc.initial_reconnect_backoff_ms': 50,
      'grpc.max_reconnect_backoff_ms': 200,
    });
    this.impaired = false;
  }

  /** `null`: no decision. */
  ask(rawKey: string): Promise<'granted' | 'denied' | 'unknown' | null> {
    const client = this.client;
    if (client === null) return Promise.resolve(null);
    return new Promise((resolve) => {
      client.makeUnaryRequest(
        '/latchkey.v1.AuthorizationService/Authorize',
        (request: AuthorizeRequest) => Buffer.from(AuthorizeRequest.encode(request).finish()),
        (bytes: Buffer) => AuthorizeResponse.decode(bytes),
        { key: rawKey, workflowId: 'w', method: 'nodes.list' },
        { deadline: Date.now() + QUESTION_DEADLINE_MS },
        (error, response) => {
          if (error !== null || response === undefined) resolve(null);
          else if (response.decision === Decision.ALLOW) resolve('granted');
          else resolve(response.reason === Reason.KEY_UNKNOWN ? 'unknown' : 'denied');
        },
      );
    });
  }

  /** Sends one DELETE and reports whether it was confirmed. */
  async revoke(keyId: string, sessionToken: string, patienceMs: number): Promise<boolean> {
    try {
      const response = await fetch(`${this.http}/api/keys/${keyId}`, {
        method: 'DELETE',
        headers: { cookie: `session=${sessionToken}` },
        signal: AbortSignal.timeout(patienceMs),
      });
      await response.arrayBuffer();
      return response.status === 200;
    } catch {
      return false;
    }
  }

  pause(): void {
    this.impaired = true;
    this.child?.kill('SIGSTOP');
  }

  resume(): void {
    this.child?.kill('SIGCONT');
    this.impaired = false;
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    this.impaired = true;
    const child = this.child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  async close(): Promise<void> {
    await this.kill();
    this.client?.close();
    await Promise.all([this.queries.close(), this.listen.close()]);
  }
}
