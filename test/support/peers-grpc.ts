import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';

/** A message in protobuf's JSON. */
export type JsonMessage = Readonly<Record<string, unknown>>;

/** How a call ended. */
export interface CallResult {
  /** `OK`, or the name of a status code in capitals. */
  readonly code: string;
  readonly messages: readonly JsonMessage[];
}

/** A gRPC client that was written elsewhere, and knows of the services only what reflection tells. */
export interface ForeignClient {
  listServices(target: string): Promise<readonly string[]>;
  /** @param take answers of a stream to wait for before leaving; left out: all, to its end */
  call(target: string, method: string, messages: readonly JsonMessage[], take?: number): Promise<CallResult>;
  close(): void;
}

/** grpcurl, one process a call. */
export class Grpcurl implements ForeignClient {
  constructor(private readonly path: string) {}

  async listServices(target: string): Promise<readonly string[]> {
    const { stdout } = await this.run(['-plaintext', target, 'list']);
    return stdout.trim().split('\n').sort();
  }

  async call(target: string, method: string, messages: readonly JsonMessage[], take?: number): Promise<CallResult> {
    const input = messages.map((message) => JSON.stringify(message)).join('\n');
    const { stdout, stderr } = await this.run(
      ['-plaintext', '-max-time', '30', '-d', '@', target, method],
      input,
      take,
    );
    const code = /^\s*Code: (\w+)$/m.exec(stderr)?.[1];
    if (code === undefined && stderr !== '') throw new Error(stderr);
    return { code: code === undefined ? 'OK' : statusName(code), messages: parseMessages(stdout) };
  }

  close(): void {}

  private async run(args: readonly string[], input = '', take = Number.POSITIVE_INFINITY) {
    const child = spawn(this.path, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (parseMessages(stdout).length >= take) child.kill();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.stdin.end(input);
    await once(child, 'close');
    return { stdout, stderr };
  }
}

/** The Python client of `test/mesh/grpcio-client.py`, one process for all calls. */
export class Grpcio implements ForeignClient {
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;
  private stderr = '';

  constructor(python: string) {
    const child = spawn(python, ['test/mesh/grpcio-client.py'], { stdio: ['pipe', 'pipe', 'pipe'] });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.child = child;
    this.lines = (createInterface(child.stdout) as Interface & AsyncIterable<string>)[Symbol.asyncIterator]();
  }

  async listServices(target: string): Promise<readonly string[]> {
    return (await this.step<{ services: string[] }>({ target, list: true })).services;
  }

  call(target: string, method: string, messages: readonly JsonMessage[], take?: number): Promise<CallResult> {
    return this.step({ target, call: method, messages, take });
  }

  close(): void {
    this.child.stdin?.end();
  }

  private async step<T>(step: JsonMessage): Promise<T> {
    this.child.stdin?.write(`${JSON.stringify(step)}\n`);
    const { done, value } = await this.lines.next();
    if (done === true) throw new Error(`the Python client ended:\n${this.stderr}`);
    return JSON.parse(value) as T;
  }
}

/** Complete messages in a text that holds one indented object after another. */
function parseMessages(text: string): JsonMessage[] {
  return [...text.matchAll(/^\{(?:\}|[\s\S]*?^\})$/gm)].map(([object]) => JSON.parse(object));
}

/** `InvalidArgument` as `INVALID_ARGUMENT`. */
function statusName(camel: string): string {
  return camel.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
}
