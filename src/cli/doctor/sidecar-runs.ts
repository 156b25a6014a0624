import { request as httpRequest } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import type { ListenAddress } from '../../config.js';
import { answered } from './answered.js';

/** Loopback, for the addresses that stand for every one of this machine and can be connected to nowhere. */
const REACHED_AT: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/**
 * Reports whether a sidecar answers `/livez` on its metrics address: the listeners are then in use as they should be.
 * `null`: it has no metrics listener, and nothing else tells strangers what it is.
 *
 * @param overTls whether its listeners speak TLS. Its certificate is not verified: it may be of any name, and nothing is
 *   sent that anybody could take.
 */
export async function sidecarRuns(metrics: ListenAddress | null, overTls: boolean): Promise<boolean | null> {
  if (metrics === null) return null;
  const where =
    metrics.kind === 'unix'
      ? { socketPath: metrics.path }
      : { host: REACHED_AT[metrics.host] ?? metrics.host, port: metrics.port };
  try {
    return (await answered(statusOf({ ...where, path: '/livez' }, overTls))) === 200;
  } catch {
    return false;
  }
}

function statusOf(options: RequestOptions, overTls: boolean): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const call = overTls ? httpsRequest({ ...options, rejectUnauthorized: false }) : httpRequest(options);
    call.once('response', (response) => {
      // Nobody waits for the rest of the answer.
      call.destroy();
      resolve(response.statusCode);
    });
    call.once('error', reject);
    call.end();
  });
}
