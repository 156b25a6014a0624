import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';

/** What {@link request} sends, and how long it waits. */
export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly patienceMs: number;
  /** Authority of the server's certificate in PEM. */
  readonly ca: string | null;
}

/** One HTTP request on a connection of its own, so that every TLS handshake is a new one. Rejects when it is not answered. */
export function request(
  url: string,
  options: RequestOptions,
): Promise<{ readonly status: number; readonly text: string }> {
  const { method = 'GET', headers = {}, body = '', patienceMs, ca } = options;
  return new Promise((resolve, reject) => {
    const settings = { method, headers, agent: false, signal: AbortSignal.timeout(patienceMs) };
    const answered = (response: IncomingMessage) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      response.on('error', reject);
    };
    const sent = ca === null ? httpRequest(url, settings, answered) : httpsRequest(url, { ...settings, ca }, answered);
    sent.on('error', reject);
    sent.end(body);
  });
}
