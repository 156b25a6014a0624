import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { Failure, type FailureKind } from '../../../src/domain/failure.js';
import { REASONS, reasonCarriesIdentity, reasonName } from '../../../src/domain/reason.js';
import {
  AuthorizeBatchRequest,
  type AuthorizeBatchResponse,
  AuthorizeRequest,
  type AuthorizeResponse,
} from '../../../src/gen/latchkey/v1/authorization_service.js';
import { Decision, Permission, Reason as ProtoReason } from '../../../src/gen/latchkey/v1/decision.js';
import { type LogFields, silentLogger } from '../../../src/ports/logger.js';
import type { Verdict } from '../../../src/service/authorizer.js';
import { keyRecord, rawKeyOf } from '../../support/fakes/builders.js';
import {
  authorizationClient,
  errorReason,
  FakeAuthorizer,
  framed,
  rawCall,
  startGrpcServer,
  stopGrpcServers,
  unary,
} from '../../support/grpc.js';

afterEach(stopGrpcServers);

const AUTHORIZE = '/latchkey.v1.AuthorizationService/Authorize';
const BATCH = '/latchkey.v1.AuthorizationService/AuthorizeBatch';

const question = (method: string, key = rawKeyOf(1)): AuthorizeRequest => ({ key, workflowId: 'w', method });

async function start(authorizer = new FakeAuthorizer()) {
  const { address } = await startGrpcServer({ authorizer });
  const client = authorizationClient(address);
  return {
    authorizer,
    address,
    authorize: (request: AuthorizeRequest) => unary<AuthorizeResponse>((done) => client.authorize(request, done)),
    batch: (requests: AuthorizeRequest[]) =>
      unary<AuthorizeBatchResponse>((done) => client.authorizeBatch({ requests }, done)),
    client,
  };
}

describe('Authorize', () => {
  it.each(REASONS.map((reason) => [reasonName(reason), reason] as const))(
    'answers %s by its own number',
    async (name, reason) => {
      const { authorize } = await start();
      const answer = await authorize(question(`reason:${reason}`));
      expect(ProtoReason[answer.reason]).toBe(name);
      expect(answer.decision).toBe(name === 'GRANTED' ? Decision.ALLOW : Decision.DENY);
      expect(answer.keyId !== '').toBe(reasonCarriesIdentity(reason));
    },
  );

  it('has a number for each reason, and no other', () => {
    const names = Object.keys(ProtoReason).filter(
      (name) => /^[A-Z]/.test(name) && !/^UN(SPECIFIED|RECOGNIZED)$/.test(name),
    );
    expect(names).toEqual(REASONS.map(reasonName));
  });

  it('tells the identity of the key and what the method requires', async () => {
    const { authorizer, authorize } = await start();
    authorizer.key = keyRecord({ id: 'key', accountId: 'acc ☂', workflowId: 'w', permissions: 5, appId: 'app' });
    expect(await authorize(question('any'))).toEqual({
      decision: Decision.ALLOW,
      reason: ProtoReason.GRANTED,
      keyId: 'key',
      accountId: 'acc ☂',
      workflowId: 'w',
      permissions: [Permission.READ, Permission.WRITE],
      requiredPermission: Permission.READ,
      appId: 'app',
    });
  });

  it('asks with exactly what was sent', async () => {
    const { authorizer, authorize } = await start();
    const request = { key: ' nk\0\n"\'; --', workflowId: 'а́ ﬁ 𝒘', method: 'm\r\0' };
    await authorize(request);
    expect(authorizer.asked).toEqual([{ surface: 'authorize', ...request }]);
  });

  it('keeps answers apart under many calls at once', async () => {
    const { authorizer, authorize } = await start();
    for (let i = 0; i < 300; i++) {
      authorizer.answer(`m${i}`, () => {
        const verdict: Verdict = {
          ...authorizer.verdict(1),
          key: keyRecord({ id: `key-${i}`, accountId: 'x'.repeat(i) }),
        };
        return i % 3 === 0 ? new Promise((resolve) => setImmediate(resolve, verdict)) : verdict;
      });
    }
    const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => authorize(question(`m${i}`))));
    expect(answers.map(({ keyId, accountId }) => [keyId, accountId.length])).toEqual(
      Array.from({ length: 300 }, (_, i) => [`key-${i}`, i]),
    );
  });

  it.each<[FailureKind, status, string]>([
    ['unavailable', status.UNAVAILABLE, 'UNAVAILABLE'],
    ['overloaded', status.RESOURCE_EXHAUSTED, 'OVERLOADED'],
    ['invalid-argument', status.INVALID_ARGUMENT, 'INVALID_ARGUMENT'],
    ['deadline-exceeded', status.DEADLINE_EXCEEDED, 'DEADLINE_EXCEEDED'],
  ])('answers %s when no decision could be made, thrown or rejected', async (kind, code, reason) => {
    const { authorizer, authorize } = await start();
    const failure = new Failure(kind, 'Try "again" – später.', { cause: new Error('10.0.0.7 SELECT * FROM') });
    authorizer.answer('throws', () => {
      throw failure;
    });
    authorizer.answer('rejects', () => Promise.reject(failure));
    for (const method of ['throws', 'rejects']) {
      const error = await authorize(question(method)).then(
        () => null,
        (rejection) => rejection,
      );
      expect(error).toMatchObject({ code, details: 'Try "again" – später.' });
      expect(errorReason(error)).toBe(reason);
    }
  });

  it('says nothing of a fault of its own and logs it', async () => {
    const logged: LogFields[] = [];
    const authorizer = new FakeAuthorizer();
    const fault = new Error('connect ECONNREFUSED 10.0.0.7:5432');
    authorizer.answer('m', () => Promise.reject(fault));
    const { address } = await startGrpcServer({
      authorizer,
      logger: { ...silentLogger, error: (_, fields) => void logged.push(fields ?? {}) },
    });
    const client = authorizationClient(address);
    await expect(unary((done) => client.authorize(question('m'), done))).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: 'The request could not be completed; try again.',
    });
    expect(logged).toEqual([{ error: fault }]);
  });

  it.each([
    ['broken protobuf', framed(Buffer.from([0x0a, 0xff, 0x01]))],
    ['random bytes', framed(Buffer.from('GET / HTTP/1.1\r\n\r\n'))],
    ['a key that is not UTF-8', framed(Buffer.from([0x0a, 0x02, 0xc3, 0x28]))],
    ['a workflow that is not UTF-8', framed(Buffer.from([0x12, 0x01, 0xff]))],
    ['a key of 4097 bytes', framed(AuthorizeRequest.encode(question('m', 'k'.repeat(4097))).finish())],
    ['a method of 4097 bytes', framed(AuthorizeRequest.encode(question('m'.repeat(4097))).finish())],
  ])('refuses %s as INVALID_ARGUMENT without asking, and serves on', async (_, body) => {
    const { authorizer, address, authorize } = await start();
    expect(await rawCall(address, AUTHORIZE, body)).toMatchObject({ status: status.INVALID_ARGUMENT });
    expect(authorizer.asked).toEqual([]);
    expect((await authorize(question('m'))).decision).toBe(Decision.ALLOW);
  });

  it('decides about fields of 4096 bytes', async () => {
    const { authorizer, authorize } = await start();
    await authorize({ key: 'k'.repeat(4096), workflowId: 'w'.repeat(4096), method: 'm'.repeat(4096) });
    expect(authorizer.asked).toHaveLength(1);
  });

  it('refuses a request larger than 4 MiB', async () => {
    const { address, authorizer } = await start();
    const answer = await rawCall(address, AUTHORIZE, framed(Buffer.alloc(4 * 1024 * 1024 + 1)));
    expect(answer.status).toBe(status.RESOURCE_EXHAUSTED);
    expect(authorizer.asked).toEqual([]);
  });

  it.each([
    ['no message at all', Buffer.alloc(0), status.UNIMPLEMENTED],
    ['a message that claims to be compressed and is not', framed(Buffer.from([1, 2, 3]), 1), status.INTERNAL],
  ])('refuses %s', async (_, body, code) => {
    const { address } = await start();
    expect((await rawCall(address, AUTHORIZE, body, { 'grpc-encoding': 'gzip' })).status).toBe(code);
  });

  it('takes an empty message for a question with empty fields', async () => {
    const { address, authorizer } = await start();
    expect(await rawCall(address, AUTHORIZE, framed(Buffer.alloc(0)))).toMatchObject({ status: status.OK });
    expect(authorizer.asked).toEqual([{ surface: 'authorize', key: '', workflowId: '', method: '' }]);
  });

  it('survives a client that stalls in the middle of a message and leaves', async () => {
    const { connect } = await import('node:http2');
    const { address, authorize } = await start();
    const session = connect(`http://${address}`);
    session.on('error', () => {});
    const stream = session.request({ ':method': 'POST', ':path': AUTHORIZE, 'content-type': 'application/grpc' });
    stream.on('error', () => {});
    const whole = framed(AuthorizeRequest.encode(question('m')).finish());
    await new Promise((resolve) => stream.write(whole.subarray(0, 20), resolve));
    expect((await authorize(question('m'))).decision).toBe(Decision.ALLOW);
    session.destroy();
    expect((await authorize(question('m'))).decision).toBe(Decision.ALLOW);
  });

  it('answers DEADLINE_EXCEEDED when the deadline has passed already', async () => {
    const { authorizer, address, authorize } = await start();
    authorizer.answer('slow', () => new Promise(() => {}));
    const body = framed(AuthorizeRequest.encode(question('slow')).finish());
    expect((await rawCall(address, AUTHORIZE, body, { 'grpc-timeout': '0m' })).status).toBe(status.DEADLINE_EXCEEDED);
    expect((await rawCall(address, AUTHORIZE, body, { 'grpc-timeout': '5m' })).status).toBe(status.DEADLINE_EXCEEDED);
    expect((await authorize(question('m'))).decision).toBe(Decision.ALLOW);
  });

  it('refuses what is not gRPC, and methods it has not', async () => {
    const { address } = await start();
    expect(await rawCall(address, AUTHORIZE, Buffer.from('{}'), { 'content-type': 'application/json' })).toMatchObject({
      httpStatus: 415,
    });
    expect(await rawCall(address, '/latchkey.v1.AppKeyService/MintAppKey', framed(Buffer.alloc(0)))).toMatchObject({
      status: status.UNIMPLEMENTED,
    });
  });
});

describe('AuthorizeBatch', () => {
  it('answers each question in the order of the questions', async () => {
    const { authorizer, batch } = await start();
    for (const reason of REASONS) {
      authorizer.answer(
        `later:${reason}`,
        () => new Promise((resolve) => setImmediate(resolve, authorizer.verdict(reason))),
      );
    }
    const asked = REASONS.flatMap((reason) => [question(`reason:${reason}`), question(`later:${reason}`)]);
    const { responses } = await batch(asked);
    expect(responses.map(({ reason }) => reason as number)).toEqual(REASONS.flatMap((reason) => [reason, reason]));
    expect(authorizer.asked.map(({ surface }) => surface)).toEqual(asked.map(() => 'batch'));
  });

  it('answers nothing to a batch of 0', async () => {
    const { batch } = await start();
    expect(await batch([])).toEqual({ responses: [] });
  });

  it('answers a batch of 1000 and refuses one of 1001 without asking', async () => {
    const { authorizer, batch } = await start();
    const requests = Array.from({ length: 1000 }, (_, i) => question('m', `key ${i}`));
    expect((await batch(requests)).responses).toHaveLength(1000);
    expect(authorizer.asked.map(({ key }) => key)).toEqual(requests.map(({ key }) => key));
    authorizer.asked.length = 0;
    await expect(batch([...requests, question('m')])).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(authorizer.asked).toEqual([]);
  });

  it('fails as a whole when one decision cannot be made', async () => {
    const { authorizer, batch } = await start();
    authorizer.answer('throws', () => {
      throw new Failure('overloaded', 'Too much.');
    });
    authorizer.answer('rejects', () => Promise.reject(new Failure('unavailable', 'Not now.')));
    await expect(batch([question('m'), question('rejects'), question('rejects')])).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: 'Not now.',
    });
    // One that was asked already rejects after the call has failed: nobody may be left to notice.
    await expect(batch([question('rejects'), question('throws')])).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    });
  });

  it('refuses a batch with one broken question', async () => {
    const { address, authorizer } = await start();
    const good = AuthorizeBatchRequest.encode({ requests: [question('m')] }).finish();
    const body = framed(Buffer.concat([good, Buffer.from([0x0a, 0x02, 0x0a, 0x09])]));
    expect((await rawCall(address, BATCH, body)).status).toBe(status.INVALID_ARGUMENT);
    expect(authorizer.asked).toEqual([]);
  });
});
