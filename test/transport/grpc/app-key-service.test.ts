import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChannelCredentials, credentials, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import type { ListenAddress } from '../../../src/config.js';
import { Failure, type FailureKind } from '../../../src/domain/failure.js';
import {
  AppKeyServiceClient,
  type MintAppKeyRequest,
  type MintAppKeyResponse,
  type RevokeAppKeysResponse,
} from '../../../src/gen/latchkey/v1/app_key_service.js';
import { Permission } from '../../../src/gen/latchkey/v1/decision.js';
import { systemTimers } from '../../../src/observability/system-timers.js';
import type { Actor } from '../../../src/ports/key-registry.js';
import { silentLogger } from '../../../src/ports/logger.js';
import type { AppKeyOrder } from '../../../src/service/app-keys.js';
import { appKeyService } from '../../../src/transport/grpc/app-key-service.js';
import { parseSubjectAltName } from '../../../src/transport/grpc/peer-identity.js';
import { tlsServerCredentials } from '../../../src/transport/grpc/tls-credentials.js';
import { watchTlsFiles } from '../../../src/transport/tls-files.js';
import { CertificateAuthority } from '../../support/certificates.js';
import {
  ANY_PORT,
  byName,
  closing,
  errorReason,
  framed,
  rawCall,
  startGrpcServer,
  stopGrpcServers,
  unary,
} from '../../support/grpc.js';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  await stopGrpcServers();
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** App keys that only write down what they are told. */
class FakeAppKeys {
  readonly minted: { order: AppKeyOrder; actor: Actor }[] = [];
  readonly revoked: { appId: string; actor: Actor }[] = [];
  failure: Failure | null = null;

  async mint(order: AppKeyOrder, actor: Actor) {
    if (this.failure !== null) throw this.failure;
    this.minted.push({ order, actor });
    return { keyId: 'key', rawKey: 'raw' };
  }

  async revokeAll(appId: string, actor: Actor) {
    if (this.failure !== null) throw this.failure;
    this.revoked.push({ appId, actor });
    const sidecars = { acknowledged: 1, expired: 0 };
    return {
      revoked: 3,
      receipt: { sequence: 1n, committedAtMs: 0, confirmedInMs: 1, sidecars, slowestAckMs: 1 },
    };
  }
}

async function start(
  bound: ListenAddress = ANY_PORT,
  said: ListenAddress = bound,
  options: { clients?: string[]; tls?: Parameters<typeof startGrpcServer>[0] } = {},
) {
  const appKeys = new FakeAppKeys();
  const service = appKeyService({ appKeys, address: said, clients: options.clients ?? [], logger: silentLogger });
  const { address } = await startGrpcServer({ services: [service], addresses: [bound], ...options.tls });
  const clientWith = (channel: ChannelCredentials) => closing(new AppKeyServiceClient(byName(address), channel));
  return { appKeys, address, clientWith, ...callsOf(clientWith(credentials.createInsecure())) };
}

function callsOf(client: AppKeyServiceClient) {
  return {
    mint: (request: Partial<MintAppKeyRequest> = {}) =>
      unary<MintAppKeyResponse>((done) => client.mintAppKey({ ...ORDER, ...request }, done)),
    revoke: (appId: string) => unary<RevokeAppKeysResponse>((done) => client.revokeAppKeys({ appId }, done)),
  };
}

const ORDER: MintAppKeyRequest = {
  appId: 'app',
  accountId: 'account-a',
  workflowId: 'w',
  permissions: [Permission.WRITE, Permission.READ, Permission.READ],
  overlapSeconds: 60,
};

describe('AppKeyService', () => {
  it('mints what was ordered', async () => {
    const { appKeys, mint } = await start();
    expect(await mint()).toEqual({ rawKey: 'raw', keyId: 'key' });
    await mint({ workflowId: '', overlapSeconds: 0, permissions: [Permission.EXECUTE] });
    expect(appKeys.minted.map(({ order }) => order)).toEqual([
      { appId: 'app', accountId: 'account-a', workflowId: 'w', permissions: 5, overlapMs: 60_000 },
      { appId: 'app', accountId: 'account-a', workflowId: null, permissions: 2, overlapMs: 0 },
    ]);
  });

  it('revokes every key of an app and says how many', async () => {
    const { appKeys, revoke } = await start();
    expect(await revoke('app')).toEqual({ revoked: 3 });
    expect(appKeys.revoked).toMatchObject([{ appId: 'app' }]);
  });

  it.each<[string, Partial<MintAppKeyRequest>, string]>([
    ['no app', { appId: '' }, 'app_id'],
    ['no account', { accountId: '' }, 'account_id'],
    ['an app of 257 bytes', { appId: `${'é'.repeat(128)}x` }, 'app_id'],
    ['a workflow of 257 bytes', { workflowId: 'w'.repeat(257) }, 'workflow_id'],
    ['a NUL', { accountId: 'a\0' }, 'account_id'],
    ['a newline', { appId: 'a\nb' }, 'app_id'],
    ['an API key', { appId: `nk_live_${'0a'.repeat(32)}` }, 'app_id'],
    ['no permission', { permissions: [] }, 'permissions'],
    ['an unspecified permission', { permissions: [Permission.READ, Permission.UNSPECIFIED] }, 'permissions'],
    ['a permission of the future', { permissions: [Permission.READ, 9 as Permission] }, 'permissions'],
    ['an overlap of more than seven days', { overlapSeconds: 604_801 }, 'overlap_seconds'],
  ])('refuses %s and names the field', async (_, request, field) => {
    const { appKeys, mint } = await start();
    await expect(mint(request)).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining(field),
    });
    expect(appKeys.minted).toEqual([]);
  });

  it('refuses broken protobuf and text that is not UTF-8', async () => {
    const { address, revoke } = await start();
    for (const body of [Buffer.from([0x0a, 0x05, 0x61]), Buffer.from([0x0a, 0x02, 0xc3, 0x28])]) {
      for (const method of ['MintAppKey', 'RevokeAppKeys']) {
        const answer = await rawCall(address, `/latchkey.v1.AppKeyService/${method}`, framed(body));
        expect(answer.status).toBe(status.INVALID_ARGUMENT);
      }
    }
    await expect(revoke('')).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  it.each<[FailureKind, status, string]>([
    ['not-found', status.NOT_FOUND, 'NOT_FOUND'],
    ['conflict', status.FAILED_PRECONDITION, 'CONFLICT'],
    ['limit-reached', status.RESOURCE_EXHAUSTED, 'LIMIT_REACHED'],
    ['unconfirmed', status.UNAVAILABLE, 'UNCONFIRMED'],
    ['unavailable', status.UNAVAILABLE, 'UNAVAILABLE'],
  ])('answers %s with its status and reason', async (kind, code, reason) => {
    const { appKeys, mint, revoke } = await start();
    appKeys.failure = new Failure(kind, 'Why.');
    for (const call of [mint(), revoke('app')]) {
      const error = await call.then(
        () => null,
        (rejection) => rejection,
      );
      expect(error).toMatchObject({ code, details: 'Why.' });
      expect(errorReason(error)).toBe(reason);
    }
  });
});

describe('who may manage app keys', () => {
  it('anyone on loopback, by the address that is written into the audit trail', async () => {
    const { appKeys, mint } = await start();
    await mint();
    expect(appKeys.minted[0]?.actor).toEqual({
      name: 'service:loopback',
      origin: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
    });
  });

  it('anyone who reaches a unix socket', async () => {
    const dir = await temporary();
    const path = join(dir, 'admin.sock');
    const { appKeys, mint } = await start({ kind: 'unix', path, text: `unix:${path}` });
    await mint();
    expect(appKeys.minted[0]?.actor).toEqual({ name: 'service:unix', origin: null });
  });

  it('nobody elsewhere without a certificate', async () => {
    const { appKeys, mint, revoke } = await start(ANY_PORT, EVERYWHERE, { clients: ['gateway'] });
    for (const call of [mint(), revoke('app')]) {
      await expect(call).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
    }
    expect([appKeys.minted, appKeys.revoked]).toEqual([[], []]);
  });

  it('clients on the list elsewhere, by a name in their certificate and not by its subject', async () => {
    const servers = new CertificateAuthority('servers');
    const clients = new CertificateAuthority('clients');
    const dir = await temporary();
    const server = servers.issue({ commonName: 'sidecar', dns: ['localhost'], ips: ['127.0.0.1'] });
    await writeFile(join(dir, 'cert'), server.cert);
    await writeFile(join(dir, 'key'), server.key);
    await writeFile(join(dir, 'ca'), clients.cert);
    const files = await watchTlsFiles(
      { certFile: join(dir, 'cert'), keyFile: join(dir, 'key'), clientCaFile: join(dir, 'ca') },
      { timers: systemTimers, logger: silentLogger },
    );
    cleanups.push(() => files.stop());
    const allowed = 'spiffe://mesh/ns/platform/sa/publisher';
    const { appKeys, clientWith } = await start(ANY_PORT, EVERYWHERE, {
      clients: [allowed, 'publisher.mesh'],
      tls: { tls: tlsServerCredentials(files) },
    });
    const callsAs = (options: Parameters<CertificateAuthority['issue']>[0]) => {
      const { cert, key } = clients.issue(options);
      return callsOf(clientWith(credentials.createSsl(Buffer.from(servers.cert), Buffer.from(key), Buffer.from(cert))));
    };

    await callsAs({ commonName: 'x', uris: ['spiffe://mesh/other', allowed] }).mint();
    await callsAs({ commonName: 'x', dns: ['publisher.mesh'] }).mint();
    expect(appKeys.minted.map(({ actor }) => actor.name)).toEqual([`service:${allowed}`, 'service:publisher.mesh']);

    for (const stranger of [
      { commonName: allowed },
      { commonName: 'x', uris: [`${allowed}/`] },
      { commonName: 'x', uris: [`spiffe://evil/a, URI:${allowed}`] },
      { commonName: 'x', dns: ['publisher.mesh.evil.example'] },
    ]) {
      await expect(callsAs(stranger).mint()).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
    }
    expect(appKeys.minted).toHaveLength(2);
  });

  it.each([
    ['', []],
    ['DNS:a.example, URI:spiffe://x/y, IP Address:127.0.0.1', ['a.example', 'spiffe://x/y']],
    ['URI:"spiffe://x/\\u0022, URI:spiffe://admin", DNS:b', ['spiffe://x/", URI:spiffe://admin', 'b']],
    ['DirName:"CN = a, URI:spiffe://admin", DNS:b', ['b']],
    ['URI:"unfinished, URI:spiffe://admin', []],
  ])('reads names from %j', (text, names) => {
    expect(parseSubjectAltName(text)).toEqual(names);
  });
});

/** What the operator configured; the test listens on loopback all the same. */
const EVERYWHERE: ListenAddress = { kind: 'tcp', host: '0.0.0.0', port: 0, text: '0.0.0.0:0' };

async function temporary(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'latchkey-admin-'));
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}
