import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { askSidecar, type SidecarTls } from '../../src/cli/ask-sidecar.js';
import { CertificateAuthority } from '../support/certificates.js';
import { startGrpcServer, stopGrpcServers } from '../support/grpc.js';
import { startTlsServer } from '../support/tls-server.js';

const authority = new CertificateAuthority('servers');
const clients = new CertificateAuthority('clients');
const QUESTION = { key: 'k', workflow: 'w', method: 'm' };

let dir: string;
let tls: SidecarTls;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'latchkey-ask-'));
  const { cert, key } = clients.issue({ commonName: 'operator' });
  const file = async (name: string, content: string) => {
    await writeFile(join(dir, name), content);
    return join(dir, name);
  };
  tls = {
    caFile: await file('authority.pem', authority.cert),
    certFile: await file('operator.pem', cert),
    keyFile: await file('operator-key.pem', key),
  };
});

afterEach(stopGrpcServers);

afterAll(() => rm(dir, { recursive: true, force: true }));

describe('asking a sidecar', () => {
  it('gets its answer in plain text', async () => {
    const { address } = await startGrpcServer();
    expect(await askSidecar(address, null, QUESTION)).toMatchObject({ reason: 1, source: address });
  });

  it('gets its answer over TLS, with a certificate of its own, at an address that is a number', async () => {
    const address = await startTlsServer(dir, authority, { ips: ['127.0.0.1'] }, clients);
    expect(await askSidecar(address, tls, QUESTION)).toMatchObject({ reason: 1, source: address });
  });

  it('is null where nobody listens', async () => {
    expect(await askSidecar('127.0.0.1:1', null, QUESTION)).toBeNull();
  });

  it.each([
    ['in plain text, a sidecar that speaks TLS', () => null, /Failed to connect/],
    ['with the wrong authority', () => ({ caFile: tls.certFile, certFile: null, keyFile: null }), /certificate/],
    ['without a certificate of its own', () => ({ ...tls, certFile: null, keyFile: null }), /certificate required/],
  ])('is not null where somebody listens who would not talk: %s', async (_, how, why) => {
    const address = await startTlsServer(dir, authority, { ips: ['127.0.0.1'] }, clients);
    const asking = askSidecar(address, how(), QUESTION);
    await expect(asking).rejects.toThrow(`somebody listens at ${address} but would not talk: `);
    await expect(asking).rejects.toThrow(why);
    await expect(asking).rejects.not.toThrow(/Resolution note|\n/);
  });

  it('is not null where TLS is spoken to a sidecar in plain text', async () => {
    const { address } = await startGrpcServer();
    await expect(askSidecar(address, tls, QUESTION)).rejects.toThrow('would not talk: ');
  });
});
