import { connect, createServer, type Server, type Socket } from 'node:net';

/** What the proxy does with bytes. `half-open` keeps both connections up and swallows everything. */
export type ProxyMode = 'pass' | 'half-open';

/**
 * A TCP proxy on loopback between a process and PostgreSQL that can be told to misbehave.
 *
 * What was swallowed in half-open mode is lost for good: those connections stay silent after `pass` is back, as after a
 * partition that outlived the peers' patience.
 */
export class FaultyProxy {
  private readonly server: Server;
  private readonly pairs = new Set<{ client: Socket; upstream: Socket; spoiled: boolean }>();
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
    const pair = { client, upstream, spoiled: this.mode === 'half-open' };
    this.pairs.add(pair);
    client.setNoDelay(true);
    upstream.setNoDelay(true);
    let withhold = false;
    client.on('data', (chunk) => {
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
      if (!pair.spoiled) client.write(chunk);
    });
    for (const socket of [client, upstream]) {
      socket.on('error', () => {});
      socket.on('close', () => {
        // Half-open means that neither side learns of the other's end.
        if (!pair.spoiled) this.destroy(pair);
      });
    }
  }

  private destroy(pair: { client: Socket; upstream: Socket; spoiled: boolean }): void {
    this.pairs.delete(pair);
    pair.client.resetAndDestroy();
    pair.upstream.resetAndDestroy();
  }
}
