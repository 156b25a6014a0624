import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';

/** How long, in ms, a program may take to start or to end before the test fails. */
const PATIENCE_MS = 60_000;

/** A program that a test started. */
export class PeerProcess {
  private output = '';
  private readonly listeners = new Set<() => void>();

  private constructor(
    private readonly child: ChildProcess,
    private readonly name: string,
  ) {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.output += chunk.toString();
        for (const listener of this.listeners) listener();
      });
    }
    child.on('exit', () => {
      for (const listener of this.listeners) listener();
    });
  }

  /** @param env in place of this process's own environment, but for PATH and HOME */
  static start(
    name: string,
    command: string,
    args: readonly string[],
    options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
  ): PeerProcess {
    const { PATH, HOME } = process.env;
    const child = spawn(command, args, {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: { PATH, HOME, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new PeerProcess(child, name);
  }

  /** Everything it wrote so far, on both streams. */
  get text(): string {
    return this.output;
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Waits until `find` returns something for what the program wrote, and returns it. */
  waitFor<T>(what: string, find: (text: string) => T | null | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        clearTimeout(timer);
        this.listeners.delete(look);
        settle();
      };
      const fail = (why: string) => end(() => reject(new Error(`${this.name} ${why} (${what}):\n${this.output}`)));
      const look = () => {
        const found = find(this.output);
        if (found !== null && found !== undefined) end(() => resolve(found));
        else if (!this.running) fail('ended');
      };
      const timer = setTimeout(() => fail('took too long'), PATIENCE_MS);
      this.listeners.add(look);
      look();
    });
  }

  /** Waits until something accepts connections on the port. */
  async waitForPort(port: number): Promise<void> {
    const deadline = AbortSignal.timeout(PATIENCE_MS);
    while (!(await accepts(port))) {
      if (!this.running) throw new Error(`${this.name} ended:\n${this.output}`);
      if (deadline.aborted) throw new Error(`${this.name} does not listen on ${port}:\n${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Asks it to end and waits; kills it when it does not. */
  async stop(): Promise<void> {
    if (!this.running) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), PATIENCE_MS / 4);
    await exited;
    clearTimeout(timer);
  }
}

/** A port of the loopback interface that nothing listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
