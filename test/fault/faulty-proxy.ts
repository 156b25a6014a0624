import { connect, createServer, type Server, type Socket } from 'node:net';

/** What the proxy does with bytes. `half-open` keeps both connections up and swallows everything. */
export type ProxyMode = 'pass' | 'half-open';

/** The `application_name` of the sidecar's connections for decisions and for the coherence protocol. */
export type Connections = 'latchkey' | 'latchkey-coherence';

interface Pair {
  readonly client: Socket;
  readonly upstream: Socket;
  /** From the start-up message. */
  application: string;
  spoiled: boolean;
}

/**
 * A TCP proxy on loopback between a process and PostgreSQL that can be told to misbehave.
 *
 * What was swallowed in half-open mode is lost for good: those connections stay silent after `pass` is back, as after a
 * partition that outlived the peers' patience.
 */
export class FaultyProxy {
  private readonly server: Server;
  private readonly pairs = new Set<Pair>();
  private readonly delayMs = new Map<string, number>();
  private readonly broken = new Set<string>();
  private mode: ProxyMode = 'pass';
  private cutNextCommit = false;
  /** Commits whose answer was withheld and whose connection was cut. */
  commitsCut = 0;

  private constructor(private targetPort: number) {
    this.server = createServer((client) => this.accept(client));
  }

  static async start(targetPort: number): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(targetPort);
    await new Promise<void>((resolve) => proxy.server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    return (this.server.address() as { port: number }).port;
  }

  setMode(mode: ProxyMode): void {
    this.mode = mode;
    if (mode === 'half-open') for (const pair of this.pairs) pair.spoiled = true;
  }

  /** Sends new connections elsewhere and resets the existing ones: what a virtual address does at a failover. */
  retarget(port: number): void {
    this.targetPort = port;
    this.cutAll();
  }

  /** Holds back every answer of the server on some connections for a while; 0: no longer. */
  delayAnswers(application: Connections, delayMs: number): void {
    this.delayMs.set(application, delayMs);
  }

  /** Makes some connections half-open, and those to come, until told otherwise. */
  setBroken(application: Connections, broken: boolean): void {
    if (broken) this.broken.add(application);
    else this.broken.delete(application);
    for (const pair of this.pairs) if (pair.application === application && broken) pair.spoiled = true;
  }

  /** Resets every connection. */
  cutAll(): void {
    for (const pair of this.pairs) this.destroy(pair);
  }

  /** Lets the next COMMIT through to the server, then resets its connection before the answer comes back. */
  cutAfterNextCommit(): void {
    this.cutNextCommit = true;
  }

  async close(): Promise<void> {
    this.cutAll();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private accept(client: Socket): void {
    const upstream = connect(this.targetPort, '127.0.0.1');
    const pair: Pair = { client, upstream, application: '', spoiled: this.mode === 'half-open' };
    this.pairs.add(pair);
    client.setNoDelay(true);
    upstream.setNoDelay(true);
    let withhold = false;
    let waitingUntilMs = 0;
    client.on('data', (chunk) => {
      if (pair.application === '') {
        pair.application = /application_name\0([^\0]+)\0/.exec(chunk.toString('latin1'))?.[1] ?? 'unknown';
        if (this.broken.has(pair.application)) pair.spoiled = true;
      }
      if (pair.spoiled) return;
      if (this.cutNextCommit && /COMMIT/i.test(chunk.toString('latin1'))) {
        this.cutNextCommit = false;
        withhold = true;
      }
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      if (withhold) {
        // The server has answered, so it has committed; nobody will hear of it.
        this.commitsCut += 1;
        this.destroy(pair);
        return;
      }
      const delayMs = this.delayMs.get(pair.application) ?? 0;
      const pass = () => {
        if (!pair.spoiled && !client.destroyed) client.write(chunk);
      };
      // Timers of one length fire in order, and a change of the length is rare: bytes stay in order because what is
      // already waiting is waited for.
      if (delayMs > 0 || waitingUntilMs > performance.now()) {
        waitingUntilMs = Math.max(waitingUntilMs, performance.now() + delayMs);
        setTimeout(pass, waitingUntilMs - performance.now());
      } else pass();
    });
    for (const socket of [client, upstream]) {
      socket.on('error', () => {});
      socket.on('close', () => {
        // Half-open means that neither side learns of the other's end.
        if (!pair.spoiled) this.destroy(pair);
      });
    }
  }

  private destroy(pair: Pair): void {
    this.pairs.delete(pair);
    pair.client.resetAndDestroy();
    pair.upstream.resetAndDestroy();
  }
}
