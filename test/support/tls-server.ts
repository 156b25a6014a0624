import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemTimers } from '../../src/observability/system-timers.js';
import { silentLogger } from '../../src/ports/logger.js';
import { tlsServerCredentials } from '../../src/transport/grpc/tls-credentials.js';
import { watchTlsFiles } from '../../src/transport/tls-files.js';
import type { CertificateAuthority } from './certificates.js';
import { startGrpcServer } from './grpc.js';

/** Whom a server's certificate is of. */
export interface ServerNames {
  readonly dns?: readonly string[];
  readonly ips?: readonly string[];
}

/**
 * Starts a server with a certificate of these names and resolves with its address, a number. `dir` holds its files.
 *
 * @param clients the authority of clients, which must then show a certificate
 */
export async function startTlsServer(
  dir: string,
  authority: CertificateAuthority,
  names: ServerNames,
  clients: CertificateAuthority | null = null,
): Promise<string> {
  const { cert, key } = authority.issue({ commonName: 'sidecar', ...names });
  const file = async (name: string, content: string) => {
    await writeFile(join(dir, name), content);
    return join(dir, name);
  };
  const files = await watchTlsFiles(
    {
      certFile: await file('cert.pem', cert),
      keyFile: await file('key.pem', key),
      clientCaFile: clients === null ? null : await file('clients.pem', clients.cert),
    },
    { timers: systemTimers, logger: silentLogger },
  );
  files.stop();
  const { address } = await startGrpcServer({ tls: tlsServerCredentials(files) });
  return address;
}
