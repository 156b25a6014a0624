import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server as GrpcServer, type Metadata, ServerCredentials } from '@grpc/grpc-js';

/** One request as the upstream saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

/** The service behind a proxy: answers 200 and remembers what reached it. */
export class Upstream {
  readonly seen: SeenRequest[] = [];
  /** What it answers. */
  status = 200;
  private readonly server: Server;

  private constructor() {
    this.server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method = '', url = '', headers, rawHeaders } = request;
        this.seen.push({ method, url, headers, rawHeaders, body: Buffer.concat(chunks).toString() });
        response.writeHead(this.status, { 'content-type': 'text/plain' }).end('from upstream');
      });
    });
  }

  static async start(): Promise<Upstream> {
    const upstream = new Upstream();
    upstream.server.listen(0, '127.0.0.1');
    await once(upstream.server, 'listening');
    return upstream;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}

const bytes = (value: Buffer): Buffer => value;

/** A gRPC service `example.v1.Resources` with the methods `List` and `Remove`, whose messages are bytes. */
export class GrpcUpstream {
  readonly seen: Metadata[] = [];

  private constructor(
    private readonly server: GrpcServer,
    readonly port: number,
  ) {}

  static async start(): Promise<GrpcUpstream> {
    const server = new GrpcServer();
    const seen: Metadata[] = [];
    const method = (name: string) => ({
      path: `/example.v1.Resources/${name}`,
      requestStream: false,
      responseStream: false,
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    });
    const handle = (call: { metadata: Metadata }, reply: (error: null, value: Buffer) => void) => {
      seen.push(call.metadata);
      reply(null, Buffer.from('from upstream'));
    };
    server.addService({ List: method('List'), Remove: method('Remove') }, { List: handle, Remove: handle });
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    const upstream = new GrpcUpstream(server, port);
    (upstream as { seen: Metadata[] }).seen = seen;
    return upstream;
  }

  stop(): void {
    this.server.forceShutdown();
  }
}
