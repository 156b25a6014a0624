import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PeerProcess } from './peers-process.js';

/** A workflow of the account `dev`, one more, and one of the account `other`: the embedded default seeds them. */
export const NIGHTLY_REPORT = '00000000-0000-4000-8000-000000000001';
export const LEAD_INTAKE = '00000000-0000-4000-8000-000000000002';
export const PAYROLL = '00000000-0000-4000-8000-000000000003';

/** A key as its creation showed it. */
export interface CreatedKey {
  readonly id: string;
  readonly raw_key: string;
}

/** The program itself, on a database of its own in a temporary folder, with random ports. */
export class Sidecar {
  private constructor(
    private program: PeerProcess,
    private readonly dataDir: string,
    private readonly env: Readonly<Record<string, string>>,
    /** `host:port`. */
    readonly grpc: string,
    private httpUrl: string,
  ) {}

  /** @param env further settings */
  static async start(env: Readonly<Record<string, string>> = {}): Promise<Sidecar> {
    const dataDir = await mkdtemp(join(tmpdir(), 'latchkey-mesh-'));
    const { program, ready } = await startProgram(dataDir, env);
    return new Sidecar(program, dataDir, env, ready.grpc[0], ready.http);
  }

  get process(): PeerProcess {
    return this.program;
  }

  /** Base URL. */
  get http(): string {
    return this.httpUrl;
  }

  /** Starts the program again after its process was stopped: same data, same address for gRPC. */
  async restart(): Promise<void> {
    const { program, ready } = await startProgram(this.dataDir, { ...this.env, LATCHKEY_GRPC_ADDRESS: this.grpc });
    this.program = program;
    this.httpUrl = ready.http;
  }

  get grpcPort(): number {
    return Number(this.grpc.split(':')[1]);
  }

  get httpPort(): number {
    return Number(new URL(this.http).port);
  }

  /** Creates a key in the account `dev` by REST, as the settings page does. */
  async createKey(given: {
    readonly permissions?: readonly string[];
    readonly workflow_id?: string;
  }): Promise<CreatedKey> {
    const response = await this.rest('POST', '/api/keys', { name: 'mesh test', ...given });
    if (response.status !== 201) throw new Error(`creating a key: ${response.status} ${await response.text()}`);
    return (await response.json()) as CreatedKey;
  }

  /** Revokes a key by REST. Resolves when the answer has arrived: the revocation is confirmed. */
  async revokeKey(id: string): Promise<void> {
    const response = await this.rest('DELETE', `/api/keys/${id}`);
    if (response.status !== 200) throw new Error(`revoking a key: ${response.status} ${await response.text()}`);
    await response.arrayBuffer();
  }

  async stop(): Promise<void> {
    await this.process.stop();
    await rm(this.dataDir, { recursive: true, force: true });
  }

  private rest(method: string, path: string, body?: unknown): Promise<Response> {
    return fetch(this.http + path, {
      method,
      headers: {
        cookie: 'latchkey_dev_session=dev',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }
}

async function startProgram(dataDir: string, env: Readonly<Record<string, string>>) {
  // The build where there is one, as in CI; else the sources, so that a test can be run without building.
  const entry = existsSync('dist/main.js') ? ['dist/main.js'] : ['--import', 'tsx', 'src/main.ts'];
  const program = PeerProcess.start('latchkey', process.execPath, [...entry, 'serve'], {
    env: {
      LATCHKEY_DATA_DIR: dataDir,
      LATCHKEY_GRPC_ADDRESS: '127.0.0.1:0',
      LATCHKEY_HTTP_ADDRESS: '127.0.0.1:0',
      LATCHKEY_METRICS_ADDRESS: '127.0.0.1:0',
      LATCHKEY_ADMIN_ADDRESS: '',
      ...env,
    },
  });
  return { program, ready: await program.waitFor('ready', readyLine) };
}

function readyLine(text: string): { grpc: [string]; http: string } | null {
  for (const line of text.split('\n')) {
    if (!line.includes('"message":"ready"')) continue;
    try {
      return JSON.parse(line);
    } catch {
      // The rest of the line has not arrived.
    }
  }
  return null;
}
