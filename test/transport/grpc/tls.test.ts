import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { type ChannelCredentials, credentials, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TlsConfig } from '../../../src/config.js';
import type { AuthorizeResponse } from '../../../src/gen/latchkey/v1/authorization_service.js';
import { silentLogger } from '../../../src/ports/logger.js';
import { tlsServerCredentials } from '../../../src/transport/grpc/tls-credentials.js';
import { TLS_POLL_MS, type TlsFiles, watchTlsFiles } from '../../../src/transport/tls-files.js';
import { type Certificate, CertificateAuthority } from '../../support/certificates.js';
import { FakeClock } from '../../support/fakes/fake-clock.js';
import { FakeTimers } from '../../support/fakes/fake-timers.js';
import { authorizationClient, byName, startGrpcServer, stopGrpcServers, unary, until } from '../../support/grpc.js';

const authority = new CertificateAuthority('servers');
const clients = new CertificateAuthority('clients');
const strangers = new CertificateAuthority('strangers');

const serverCertificate = (commonName: string) =>
  authority.issue({ commonName, dns: ['localhost'], ips: ['127.0.0.1'] });
const first = serverCertificate('first');
const second = serverCertificate('second');

let dir: string;
let files: TlsFiles | null;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'latchkey-tls-'));
  files = null;
});

afterEach(async () => {
  await stopGrpcServers();
  files?.stop();
  await rm(dir, { recursive: true, force: true });
});

/** Writes a certificate and its key where the configuration looks for them. */
async function write({ cert, key }: Certificate): Promise<void> {
  await writeFile(join(dir, 'cert.pem'), cert);
  await writeFile(join(dir, 'key.pem'), key);
}

async function watchFiles(mutual = false) {
  const timers = new FakeTimers(new FakeClock());
  const outcomes: string[] = [];
  const errors: unknown[] = [];
  const config: TlsConfig = {
    certFile: join(dir, 'cert.pem'),
    keyFile: join(dir, 'key.pem'),
    clientCaFile: mutual ? join(dir, 'clients.pem') : null,
  };
  const logger = { ...silentLogger, error: (_: string, fields?: object) => void errors.push(fields) };
  const watched = await watchTlsFiles(config, { timers, logger, onOutcome: (outcome) => outcomes.push(outcome) });
  files = watched;
  /** Lets the files be read once more. */
  const look = async () => {
    timers.advance(TLS_POLL_MS);
    await until(() => timers.pending === 1);
  };
  return { files: watched, look, outcomes, errors, timers };
}

const rootOf = (ca: CertificateAuthority) => Buffer.from(ca.cert);
const ask = (address: string, channel: ChannelCredentials) => {
  const client = authorizationClient(byName(address), channel);
  return unary<AuthorizeResponse>((done) => client.authorize({ key: 'k', workflowId: '', method: 'm' }, done));
};

/** The common name that the server shows a new connection. */
function shownBy(address: string): Promise<string | string[]> {
  const [host = '', port] = address.split(':');
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host, port: Number(port), ca: authority.cert, ALPNProtocols: ['h2'] }, () => {
      resolve(socket.getPeerCertificate().subject.CN ?? '');
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

describe('TLS', () => {
  it('serves with the files, and plain text is refused', async () => {
    await write(first);
    const { address } = await startGrpcServer({ tls: tlsServerCredentials((await watchFiles()).files) });
    expect((await ask(address, credentials.createSsl(rootOf(authority)))).keyId).not.toBe('');
    await expect(ask(address, credentials.createInsecure())).rejects.toMatchObject({ code: status.UNAVAILABLE });
    await expect(ask(address, credentials.createSsl(rootOf(strangers)))).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
  });

  it('serves several addresses from the same files', async () => {
    await write(first);
    const tcp = { kind: 'tcp', host: '127.0.0.1', port: 0, text: '127.0.0.1:0' } as const;
    const { addresses } = await startGrpcServer({
      tls: tlsServerCredentials((await watchFiles()).files),
      addresses: [tcp, tcp],
    });
    for (const address of addresses) {
      expect((await ask(address, credentials.createSsl(rootOf(authority)))).keyId).not.toBe('');
    }
  });

  it('takes over a new certificate under load without one failed call', async () => {
    await write(first);
    const { files, look, outcomes } = await watchFiles();
    const { address } = await startGrpcServer({ tls: tlsServerCredentials(files) });
    expect(await shownBy(address)).toBe('first');

    let calls = 0;
    let failed = 0;
    let stop = false;
    const steady = Array.from({ length: 8 }, async () => {
      const client = authorizationClient(byName(address), credentials.createSsl(rootOf(authority)));
      while (!stop) {
        await unary((done) => client.authorize({ key: 'k', workflowId: '', method: 'm' }, done)).catch(() => failed++);
        calls++;
      }
    });
    // Others connect anew for each call, so that some handshakes fall into the change.
    const fresh = (async () => {
      while (!stop) {
        await ask(address, credentials.createSsl(rootOf(authority))).catch(() => failed++);
        calls++;
      }
    })();
    await until(() => calls > 50);
    for (const certificate of [second, first, second]) {
      await write(certificate);
      await look();
      const before = calls;
      await until(() => calls > before + 50);
    }
    stop = true;
    await Promise.all([...steady, fresh]);
    expect(failed).toBe(0);
    expect(outcomes).toEqual(['reloaded', 'reloaded', 'reloaded']);
    expect(await shownBy(address)).toBe('second');
  });

  it('keeps the last good certificate while the files are broken, and says so once', async () => {
    await write(first);
    const { files, look, outcomes, errors } = await watchFiles();
    const { address } = await startGrpcServer({ tls: tlsServerCredentials(files) });
    await writeFile(join(dir, 'cert.pem'), second.cert);
    await look();
    await look();
    expect(outcomes).toEqual(['refused']);
    expect(await shownBy(address)).toBe('first');
    await writeFile(join(dir, 'cert.pem'), 'half a certi');
    await look();
    await rm(join(dir, 'cert.pem'));
    await look();
    await look();
    expect(outcomes).toEqual(['refused', 'refused', 'refused']);
    expect(errors).toHaveLength(3);
    expect(await shownBy(address)).toBe('first');
    await write(second);
    await look();
    expect(outcomes.at(-1)).toBe('reloaded');
    expect(await shownBy(address)).toBe('second');
  });

  it('follows an exchanged symbolic link, as Kubernetes replaces secrets', async () => {
    for (const [name, certificate] of [
      ['a', first],
      ['b', second],
    ] as const) {
      await writeFile(join(dir, `${name}-cert.pem`), certificate.cert);
      await writeFile(join(dir, `${name}-key.pem`), certificate.key);
    }
    const link = async (name: string) => {
      for (const file of ['cert.pem', 'key.pem']) {
        await symlink(`${name}-${file}`, join(dir, 'new'));
        await rename(join(dir, 'new'), join(dir, file));
      }
    };
    await link('a');
    const { files, look } = await watchFiles();
    const { address } = await startGrpcServer({ tls: tlsServerCredentials(files) });
    await link('b');
    await look();
    expect(await shownBy(address)).toBe('second');
  });

  it.each([
    ['missing', async () => {}],
    ['of another certificate', () => write({ cert: first.cert, key: second.key })],
    ['no PEM', () => write({ cert: 'certificate', key: 'key' })],
  ])('does not start with files that are %s', async (_, prepare) => {
    await prepare();
    await expect(watchFiles()).rejects.toThrow();
  });

  it('stops looking when it is told to', async () => {
    await write(first);
    const { files, timers } = await watchFiles();
    files.stop();
    expect(timers.pending).toBe(0);
  });
});

describe('mTLS', () => {
  const gateway = clients.issue({ commonName: 'gateway', uris: ['spiffe://mesh/gateway'] });

  const withCertificate = ({ cert, key }: Certificate) =>
    credentials.createSsl(rootOf(authority), Buffer.from(key), Buffer.from(cert));

  it('serves clients of the authority and nobody else', async () => {
    await write(first);
    await writeFile(join(dir, 'clients.pem'), clients.cert);
    const { address } = await startGrpcServer({ tls: tlsServerCredentials((await watchFiles(true)).files) });
    expect((await ask(address, withCertificate(gateway))).keyId).not.toBe('');
    const stranger = strangers.issue({ commonName: 'gateway', uris: ['spiffe://mesh/gateway'] });
    for (const channel of [withCertificate(stranger), credentials.createSsl(rootOf(authority))]) {
      await expect(ask(address, channel)).rejects.toMatchObject({ code: status.UNAVAILABLE });
    }
  });

  it('takes over a new authority of clients for new connections', async () => {
    await write(first);
    await writeFile(join(dir, 'clients.pem'), strangers.cert);
    const { files, look } = await watchFiles(true);
    const { address } = await startGrpcServer({ tls: tlsServerCredentials(files) });
    await expect(ask(address, withCertificate(gateway))).rejects.toMatchObject({ code: status.UNAVAILABLE });
    await writeFile(join(dir, 'clients.pem'), clients.cert);
    await look();
    expect((await ask(address, withCertificate(gateway))).keyId).not.toBe('');
  });

  it('does not start with an authority file that holds no certificate', async () => {
    await write(first);
    await writeFile(join(dir, 'clients.pem'), '\n');
    await expect(watchFiles(true)).rejects.toThrow();
  });
});
