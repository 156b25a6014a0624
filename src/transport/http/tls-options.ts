import type { ServerOptions } from 'node:https';
import type { TlsFiles, TlsMaterial } from '../tls-files.js';

/**
 * TLS options of an HTTP listener; `null`: plain text. With an authority of clients, each must show a certificate signed
 * by it; `refuseStrangers` false: strangers are let in, and the application tells them apart (probes have no certificate).
 */
export function httpTls(tls: TlsFiles | null, refuseStrangers: boolean): ServerOptions | null {
  if (tls === null) return null;
  const { clientCa } = tls.current;
  return {
    ...secureContextOf(tls.current),
    minVersion: 'TLSv1.2',
    ...(clientCa === null ? {} : { requestCert: true, rejectUnauthorized: refuseStrangers }),
  };
}

/** The part of the options that is replaced when the files change. */
export function secureContextOf({ cert, key, clientCa }: TlsMaterial) {
  return { cert, key, ...(clientCa === null ? {} : { ca: clientCa }) };
}
