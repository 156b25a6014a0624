import { connect, type Socket } from 'node:net';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const GOAWAY = 7;
const WINDOW_UPDATE = 8;
const END_STREAM = 1;
const END_HEADERS = 4;
const ACK = 1;
const WINDOW = 0x7fffffff;
/** What HTTP/2 gives a peer before it says anything. */
const FIRST_WINDOW = 65_535;

/** A call that waits for its answer. */
interface Pending {
  readonly chunks: Buffer[];
  readonly resolve: (answer: Buffer | null) => void;
}

/**
 * Unary gRPC over one plain-text connection with as little work a call as possible, so that one core asks more than
 * another can answer: frames are written by hand, headers are sent as they are and never read. For distinct messages,
 * which h2load cannot send.
 *
 * A request must fit the first window of a stream, 64 KiB.
 */
export class RawGrpcClient {
  private readonly pending = new Map<number, Pending>();
  private nextStream = 1;
  private rest: Buffer = Buffer.alloc(0);
  private window = FIRST_WINDOW;
  private readonly held: Buffer[] = [];
  private outgoing: Buffer[] = [];
  private readonly headerBlocks = new Map<string, Buffer>();
  private closed: Error | null = null;

  private constructor(
    private readonly socket: Socket,
    private readonly authority: string,
  ) {
    socket.setNoDelay(true);
    socket.on('data', (bytes) => this.take(bytes));
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(new Error('the connection closed')));
    const settings = frame(SETTINGS, 0, 0, Buffer.from([0, 4, 0x7f, 0xff, 0xff, 0xff]));
    this.write(Buffer.concat([Buffer.from(PREFACE), settings, windowUpdate(WINDOW - FIRST_WINDOW)]));
  }

  /** @param address `host:port` */
  static async connect(address: string): Promise<RawGrpcClient> {
    const { hostname, port } = new URL(`http://${address}`);
    const socket = connect({ host: hostname, port: Number(port) });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new RawGrpcClient(socket, address);
  }

  /** Calls under way. */
  get inFlight(): number {
    return this.pending.size;
  }

  /** Resolves with the answer's message, or `null` when the call ended without one. */
  call(path: string, message: Buffer): Promise<Buffer | null> {
    if (this.closed !== null) return Promise.reject(this.closed);
    const stream = this.nextStream;
    this.nextStream += 2;
    const size = message.length + 5;
    const data = Buffer.allocUnsafe(9 + size);
    writeFrameHead(data, size, DATA, END_STREAM, stream);
    data[9] = 0;
    data.writeUInt32BE(message.length, 10);
    message.copy(data, 14);
    this.write(frame(HEADERS, END_HEADERS, stream, this.headersOf(path)));
    this.sendData(data);
    return new Promise((resolve) => {
      this.pending.set(stream, { chunks: [], resolve });
    });
  }

  close(): void {
    this.closed = new Error('closed');
    this.socket.destroy();
    for (const { resolve } of this.pending.values()) resolve(null);
    this.pending.clear();
  }

  private sendData(data: Buffer): void {
    const size = data.length - 9;
    if (this.held.length > 0 || size > this.window) this.held.push(data);
    else {
      this.window -= size;
      this.write(data);
    }
  }

  /** Gathers what one turn of the event loop sends into one write. */
  private write(bytes: Buffer): void {
    if (this.outgoing.length === 0) {
      setImmediate(() => {
        const all = Buffer.concat(this.outgoing);
        this.outgoing = [];
        if (!this.socket.destroyed) this.socket.write(all);
      });
    }
    this.outgoing.push(bytes);
  }

  private take(bytes: Buffer): void {
    let data = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
    let received = 0;
    while (data.length >= 9) {
      const length = data.readUIntBE(0, 3);
      if (data.length < 9 + length) break;
      if (data[3] === DATA) received += length;
      this.frameArrived(
        data[3] as number,
        data[4] as number,
        data.readUInt32BE(5) & WINDOW,
        data.subarray(9, 9 + length),
      );
      data = data.subarray(9 + length);
    }
    this.rest = data;
    if (received > 0) this.write(windowUpdate(received));
  }

  private frameArrived(type: number, flags: number, stream: number, payload: Buffer): void {
    const pending = this.pending.get(stream);
    if (type === DATA) pending?.chunks.push(Buffer.from(payload));
    else if (type === SETTINGS && (flags & ACK) === 0) this.write(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
    else if (type === PING && (flags & ACK) === 0) this.write(frame(PING, ACK, 0, payload));
    else if (type === WINDOW_UPDATE && stream === 0) this.windowGrew(payload.readUInt32BE(0));
    else if (type === GOAWAY) this.fail(new Error('the server said GOAWAY'));
    const ends = type === RST_STREAM || ((type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0);
    if (!ends || pending === undefined) return;
    this.pending.delete(stream);
    const answer = Buffer.concat(pending.chunks);
    pending.resolve(answer.length < 5 ? null : answer.subarray(5));
  }

  private windowGrew(by: number): void {
    this.window += by;
    for (;;) {
      const next = this.held[0];
      if (next === undefined || next.length - 9 > this.window) return;
      this.held.shift();
      this.window -= next.length - 9;
      this.write(next);
    }
  }

  private fail(error: Error): void {
    if (this.closed === null) this.closed = error;
    for (const { resolve } of this.pending.values()) resolve(null);
    this.pending.clear();
  }

  private headersOf(path: string): Buffer {
    const known = this.headerBlocks.get(path);
    if (known !== undefined) return known;
    const block = Buffer.concat([
      METHOD_POST_SCHEME_HTTP,
      literal(':path', path),
      literal(':authority', this.authority),
      literal('content-type', 'application/grpc'),
      literal('te', 'trailers'),
    ]);
    this.headerBlocks.set(path, block);
    return block;
  }
}

/** RFC 7541, 6.1: two fields of the static table, as any client sends them. */
const METHOD_POST_SCHEME_HTTP = Buffer.from([0x83, 0x86]);

/** RFC 7541, 6.2.2: a header that is not indexed, with a new name; names and values here are shorter than 127 bytes. */
function literal(name: string, value: string): Buffer {
  return Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(9 + payload.length);
  writeFrameHead(bytes, payload.length, type, flags, stream);
  payload.copy(bytes, 9);
  return bytes;
}

function writeFrameHead(bytes: Buffer, length: number, type: number, flags: number, stream: number): void {
  bytes.writeUIntBE(length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
}

function windowUpdate(by: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(by);
  return frame(WINDOW_UPDATE, 0, 0, payload);
}
