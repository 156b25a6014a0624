import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { type ChannelCredentials, type ChannelOptions, credentials } from '@grpc/grpc-js';
import type { ClientTls } from './options.js';

/** What a gRPC client is made with, beside its address. */
export interface Channel {
  readonly credentials: ChannelCredentials;
  readonly options: ChannelOptions;
}

/**
 * Name that is sent to a server that is addressed by number. TLS has no way to name a number, and grpc-js cannot be made
 * to send no name: it would send the number as one, which Node.js 26 refuses and older ones warn of.
 */
const NAME_OF_A_NUMBER = 'localhost';

/** In plain text, or with TLS: the certificate must be of the host in the address, or of `serverName` where one is given. */
export function channelTo(address: string, tls: ClientTls | true | undefined): Channel {
  if (tls === undefined) return { credentials: credentials.createInsecure(), options: {} };
  const { ca, key, cert, serverName } = tls === true ? {} : tls;
  const secured = (checks: object) => credentials.createSsl(bytesOf(ca), bytesOf(key), bytesOf(cert), checks);
  if (serverName !== undefined) {
    const options = { 'grpc.ssl_target_name_override': serverName, 'grpc.default_authority': serverName };
    return { credentials: secured({}), options };
  }
  const ip = ipOf(address);
  if (ip === null) return { credentials: secured({}), options: {} };
  return {
    // Whatever name was sent, the certificate must be of that number.
    credentials: secured({
      checkServerIdentity: (_: string, shown: PeerCertificate) => checkServerIdentity(ip, shown),
    }),
    options: { 'grpc.ssl_target_name_override': NAME_OF_A_NUMBER },
  };
}

function bytesOf(pem: string | Buffer | undefined): Buffer | null {
  return pem === undefined ? null : Buffer.from(pem);
}

/** The IP address in `1.2.3.4:50051` or `[::1]:50051`; `null` where a name stands. */
function ipOf(address: string): string | null {
  const host = address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return isIP(host) === 0 ? null : host;
}
