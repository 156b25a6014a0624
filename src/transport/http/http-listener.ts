import type { Server as TlsServer } from 'node:https';
import type { FastifyInstance } from 'fastify';
import type { ListenAddress } from '../../config/listen-address.js';
import { whenAborted } from '../../ports/when-aborted.js';
import { clearSocketFiles } from '../stale-socket.js';
import type { TlsFiles } from '../tls-files.js';
import { secureContextOf } from './tls-options.js';

/** What an {@link HttpListener} is made of. */
export interface HttpListenerParts {
  readonly app: FastifyInstance;
  readonly address: ListenAddress;
  /** `null`: plain text. */
  readonly tls: TlsFiles | null;
}

/** Binds an application to its address, keeps its certificate current, and closes it in good order. */
export class HttpListener {
  private closing = false;
  private unsubscribe = (): void => {};

  constructor(private readonly parts: HttpListenerParts) {
    const { server } = parts.app;
    server.on('request', (_, response) => {
      // `close` ends idle connections only once; one that was busy then would be kept alive until the drain's deadline.
      response.once('close', () => {
        if (this.closing) setImmediate(() => server.closeIdleConnections());
      });
    });
  }

  /** Binds, and resolves with the base URL, or the text of the address of a unix socket. */
  async open(): Promise<string> {
    const { app, address, tls } = this.parts;
    await clearSocketFiles([address]);
    await app.listen(address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port });
    if (tls !== null) {
      this.unsubscribe = tls.subscribe((material) => {
        (app.server as unknown as TlsServer).setSecureContext(secureContextOf(material));
      });
    }
    const bound = app.server.address();
    if (typeof bound === 'string' || bound === null) return address.text;
    const host = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address;
    return `${tls === null ? 'http' : 'https'}://${host}:${bound.port}`;
  }

  /** Takes no new connection and resolves when running requests have ended; cuts them once `forced` aborts. */
  async close(forced: AbortSignal): Promise<void> {
    this.closing = true;
    this.unsubscribe();
    whenAborted(forced, () => this.parts.app.server.closeAllConnections());
    await this.parts.app.close();
  }
}
