import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWithPeer } from '../support/peers.js';
import { type ForeignClient, Grpcio, Grpcurl, type JsonMessage } from '../support/peers-grpc.js';
import { freePort } from '../support/peers-process.js';
import { LEAD_INTAKE, NIGHTLY_REPORT, PAYROLL, Sidecar } from '../support/peers-sidecar.js';

const AUTHORIZATION = 'latchkey.v1.AuthorizationService';
const APP_KEYS = 'latchkey.v1.AppKeyService';

describeWithPeer('grpcurl', 'grpcurl', (path) => everyRpc(() => new Grpcurl(path)));
describeWithPeer('grpcio', 'Python grpcio', (path) => everyRpc(() => new Grpcio(path)));

/** Every RPC, asked by a client that nobody here wrote, of the program itself on its own database. */
function everyRpc(connect: () => ForeignClient): void {
  let sidecar: Sidecar;
  let client: ForeignClient;
  let admin: string;
  let key: { id: string; raw_key: string };

  beforeAll(async () => {
    admin = `127.0.0.1:${await freePort()}`;
    sidecar = await Sidecar.start({ LATCHKEY_ADMIN_ADDRESS: admin });
    key = await sidecar.createKey({ permissions: ['read'], workflow_id: NIGHTLY_REPORT });
    client = connect();
  });

  afterAll(async () => {
    client?.close();
    await sidecar?.stop();
  });

  const question = (given: JsonMessage = {}): JsonMessage => ({
    key: key.raw_key,
    workflowId: NIGHTLY_REPORT,
    method: 'nodes.getOutput',
    ...given,
  });
  const call = (method: string, messages: readonly JsonMessage[], take?: number) =>
    client.call(sidecar.grpc, `${AUTHORIZATION}/${method}`, messages, take);
  const reasonOf = async (given: JsonMessage) => {
    const { messages } = await call('Authorize', [question(given)]);
    return messages[0]?.['reason'];
  };

  it('finds the services of each listener by reflection', async () => {
    const always = ['grpc.health.v1.Health', 'grpc.reflection.v1.ServerReflection'];
    const services = await client.listServices(sidecar.grpc);
    expect(services).toEqual(expect.arrayContaining([...always, AUTHORIZATION, 'envoy.service.auth.v3.Authorization']));
    expect(services).not.toContain(APP_KEYS);
    const behindAdmin = await client.listServices(admin);
    expect(behindAdmin).toEqual(expect.arrayContaining([...always, APP_KEYS]));
    expect(behindAdmin).not.toContain(AUTHORIZATION);
  });

  it('reads health, once and as a watch', async () => {
    const serving = { code: 'OK', messages: [{ status: 'SERVING' }] };
    for (const service of ['', AUTHORIZATION]) {
      expect(await client.call(sidecar.grpc, 'grpc.health.v1.Health/Check', [{ service }])).toMatchObject(serving);
    }
    const watched = await client.call(sidecar.grpc, 'grpc.health.v1.Health/Watch', [{ service: '' }], 1);
    expect(watched.messages).toEqual(serving.messages);
  });

  it('asks Authorize and is answered with reason and identity', async () => {
    expect(await call('Authorize', [question()])).toMatchObject({
      code: 'OK',
      messages: [
        {
          decision: 'DECISION_ALLOW',
          reason: 'REASON_GRANTED',
          keyId: key.id,
          accountId: 'dev',
          workflowId: NIGHTLY_REPORT,
          permissions: ['PERMISSION_READ'],
          requiredPermission: 'PERMISSION_READ',
        },
      ],
    });
    expect(await reasonOf({ key: 'nk_live_nonsense' })).toBe('REASON_KEY_MALFORMED');
    expect(await reasonOf({ key: `nk_live_${'0'.repeat(64)}` })).toBe('REASON_KEY_UNKNOWN');
    expect(await reasonOf({ workflowId: LEAD_INTAKE })).toBe('REASON_WORKFLOW_OUT_OF_SCOPE');
    expect(await reasonOf({ method: 'nodes.setConfig' })).toBe('REASON_PERMISSION_MISSING');
    expect(await reasonOf({ method: 'no.such' })).toBe('REASON_METHOD_UNKNOWN');
  });

  it('asks AuthorizeBatch and is answered in order', async () => {
    const { messages } = await call('AuthorizeBatch', [
      { requests: [question(), question({ workflowId: '' }), question({ method: 'nodes.get_output' })] },
    ]);
    const responses = messages[0]?.['responses'] as { reason: string }[];
    expect(responses.map(({ reason }) => reason)).toEqual([
      'REASON_GRANTED',
      'REASON_WORKFLOW_REQUIRED',
      'REASON_GRANTED',
    ]);
  });

  it('asks AuthorizeStream and is answered by correlation id', async () => {
    const { code, messages } = await call('AuthorizeStream', [
      { correlationId: '18446744073709551615', request: question() },
      { correlationId: '7', request: question({ key: 'x' }) },
    ]);
    expect(code).toBe('OK');
    const reasons = new Map(
      messages.map(({ correlationId, response }) => [correlationId, (response as { reason: string }).reason]),
    );
    expect(reasons).toEqual(
      new Map([
        ['18446744073709551615', 'REASON_GRANTED'],
        ['7', 'REASON_KEY_MALFORMED'],
      ]),
    );
  });

  it('is told of a structurally bad request by its status', async () => {
    expect((await call('Authorize', [question({ method: 'm'.repeat(4097) })])).code).toBe('INVALID_ARGUMENT');
    const tooMany = { requests: Array.from({ length: 1001 }, () => question()) };
    expect((await call('AuthorizeBatch', [tooMany])).code).toBe('INVALID_ARGUMENT');
    const { code } = await call('WatchRevocations', [{ afterSequence: '9223372036854775807' }]);
    expect(code).toBe('OUT_OF_RANGE');
  });

  it('publishes an app, uses its key, unpublishes it: refused at once, and never listed', async () => {
    const appKeys = (method: string, message: JsonMessage) => client.call(admin, `${APP_KEYS}/${method}`, [message]);
    const order = { appId: 'weather', accountId: 'dev', workflowId: LEAD_INTAKE, permissions: ['PERMISSION_READ'] };

    const first = (await appKeys('MintAppKey', order)).messages[0] as { rawKey: string; keyId: string };
    const asApp = (rawKey: string, method = 'nodes.getOutput') =>
      reasonOf({ key: rawKey, workflowId: LEAD_INTAKE, method });
    expect(await asApp(first.rawKey)).toBe('REASON_GRANTED');
    expect(await asApp(first.rawKey, 'state.loadAll')).toBe('REASON_METHOD_NOT_FOR_APPS');

    // Published anew, without an overlap: the first key is gone with the answer.
    const second = (await appKeys('MintAppKey', order)).messages[0] as { rawKey: string; keyId: string };
    expect(await asApp(first.rawKey)).toBe('REASON_KEY_REVOKED');
    expect(await asApp(second.rawKey)).toBe('REASON_GRANTED');

    const listed = await fetch(`${sidecar.http}/api/keys`, { headers: { cookie: 'latchkey_dev_session=dev' } });
    expect(((await listed.json()) as { id: string }[]).map(({ id }) => id)).toEqual([key.id]);

    expect((await appKeys('RevokeAppKeys', { appId: 'weather' })).messages).toEqual([{ revoked: 1 }]);
    expect(await asApp(second.rawKey)).toBe('REASON_KEY_REVOKED');
    expect((await appKeys('RevokeAppKeys', { appId: 'weather' })).messages).toEqual([{}]);
    expect((await appKeys('MintAppKey', { ...order, workflowId: PAYROLL })).code).toBe('NOT_FOUND');
    expect((await appKeys('MintAppKey', { ...order, permissions: [] })).code).toBe('INVALID_ARGUMENT');
  });

  it('watches revocations from now on and resumes after a sequence', async () => {
    const begun = (await call('WatchRevocations', [{}], 1)).messages[0] as { sequence: string; heartbeat: object };
    expect(begun.heartbeat).toEqual({});
    const other = await sidecar.createKey({});
    await sidecar.revokeKey(other.id);
    // The heartbeat at the asked place, then what happened after it.
    const { messages } = await call('WatchRevocations', [{ afterSequence: begun.sequence, accountId: 'dev' }], 2);
    expect(messages[1]).toMatchObject({
      revocation: { keyId: other.id, accountId: 'dev', revokedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) },
    });
  });
}
