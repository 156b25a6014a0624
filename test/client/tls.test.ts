import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ClientTls, createLatchkeyClient } from '../../src/client/index.js';
import { CertificateAuthority } from '../support/certificates.js';
import { byName, closing, stopGrpcServers } from '../support/grpc.js';
import { type ServerNames, startTlsServer } from '../support/tls-server.js';

const authority = new CertificateAuthority('servers');
const clients = new CertificateAuthority('clients');
const gateway = clients.issue({ commonName: 'gateway' });

let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'latchkey-client-tls-'));
});

afterEach(stopGrpcServers);

afterAll(() => rm(dir, { recursive: true, force: true }));

const serve = (names: ServerNames, mutual = false) => startTlsServer(dir, authority, names, mutual ? clients : null);

function ask(address: string, tls: ClientTls) {
  const client = closing(
    createLatchkeyClient({ address, tls, maxAttempts: 1, deadlineMs: 10_000, healthChecks: false }),
  );
  return client.authorize({ key: 'k', method: 'm' });
}

const ca = authority.cert;
const UNAVAILABLE = { code: 'UNAVAILABLE' };

describe('a client with TLS', () => {
  it('reaches a server by its number, when the certificate is of that number', async () => {
    expect((await ask(await serve({ ips: ['127.0.0.1'] }), { ca })).allowed).toBe(true);
  });

  it.each([
    ['another number', { ips: ['127.0.0.2'] }],
    ['names alone', { dns: ['localhost'] }],
  ])('refuses a server that it reaches by number, when the certificate is of %s', async (_, names) => {
    await expect(ask(await serve(names), { ca })).rejects.toMatchObject(UNAVAILABLE);
  });

  it('reaches a server by its name, and refuses one of another name', async () => {
    expect((await ask(byName(await serve({ dns: ['localhost'] })), { ca })).allowed).toBe(true);
    await expect(ask(byName(await serve({ dns: ['other'] })), { ca })).rejects.toMatchObject(UNAVAILABLE);
  });

  it('expects the name that it is told', async () => {
    const address = await serve({ dns: ['sidecar.mesh'] });
    expect((await ask(address, { ca, serverName: 'sidecar.mesh' })).allowed).toBe(true);
    await expect(ask(address, { ca, serverName: 'other.mesh' })).rejects.toMatchObject(UNAVAILABLE);
  });

  it('refuses a server of another authority', async () => {
    const address = await serve({ ips: ['127.0.0.1'] });
    await expect(ask(address, { ca: clients.cert })).rejects.toMatchObject(UNAVAILABLE);
  });

  it('shows its own certificate', async () => {
    const address = await serve({ ips: ['127.0.0.1'] }, true);
    expect((await ask(address, { ca, ...gateway })).allowed).toBe(true);
    await expect(ask(address, { ca })).rejects.toMatchObject(UNAVAILABLE);
  });
});
