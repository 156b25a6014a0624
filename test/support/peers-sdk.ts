import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** What the SDK made of one command. */
export interface SdkReply {
  readonly result?: unknown;
  readonly error?: string;
  /** What the server said when it refused the connection. */
  readonly refusal?: unknown;
}

/** A program in Python that uses the platform's own SDK (PyPI package `noclick`). */
export class SdkProgram {
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly waiting = new Map<number, (reply: SdkReply) => void>();
  private sent = 0;
  /** Settles, with CLOCK_MONOTONIC in ns at the SDK's side, when the server has ended the connection. */
  readonly disconnected: Promise<bigint>;

  constructor(python: string) {
    this.child = spawn(python, ['test/support/peers-sdk.py']);
    this.child.stderr.on('data', (chunk: Buffer) => process.stderr.write(chunk));
    let ended: (at: bigint) => void = () => {};
    this.disconnected = new Promise((resolve) => {
      ended = resolve;
    });
    createInterface(this.child.stdout).on('line', (line) => {
      const message = JSON.parse(line);
      // Past what a double holds exactly only after a hundred days of uptime; then by a few nanoseconds.
      if (message.event === 'disconnected') ended(BigInt(message.at));
      else this.waiting.get(message.id)?.(message);
    });
    this.child.on('exit', () => {
      for (const answer of this.waiting.values()) answer({ error: 'the program has ended' });
    });
  }

  connect(url: string, key: string, workflow?: string): Promise<SdkReply> {
    return this.send({ do: 'connect', url, key, workflow });
  }

  /** @param path of a method below the SDK's client, e.g. `nodes.get_output` */
  call(path: string, ...args: readonly unknown[]): Promise<SdkReply> {
    return this.send({ do: 'call', path, args });
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill();
    await once(this.child, 'exit');
  }

  private send(command: Readonly<Record<string, unknown>>): Promise<SdkReply> {
    const id = ++this.sent;
    return new Promise((resolve) => {
      this.waiting.set(id, (reply) => {
        this.waiting.delete(id);
        resolve(reply);
      });
      this.child.stdin.write(`${JSON.stringify({ id, ...command })}\n`);
    });
  }
}
