import { connect } from 'node:http2';
import { type ClientDuplexStream, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { Failure } from '../../../src/domain/failure.js';
import { REASONS } from '../../../src/domain/reason.js';
import {
  AuthorizeStreamRequest,
  type AuthorizeStreamResponse,
} from '../../../src/gen/latchkey/v1/authorization_service.js';
import type { Verdict } from '../../../src/service/authorizer.js';
import { STREAM_IN_FLIGHT_MAX } from '../../../src/transport/grpc/authorize-stream.js';
import { STREAMING_CALLS_MAX } from '../../../src/transport/grpc/interceptors/streaming-calls.js';
import {
  authorizationClient,
  FakeAuthorizer,
  framed,
  rawCall,
  startGrpcServer,
  stopGrpcServers,
  until,
} from '../../support/grpc.js';

afterEach(stopGrpcServers);

const PATH = '/latchkey.v1.AuthorizationService/AuthorizeStream';

const request = (correlationId: bigint, method = 'm'): AuthorizeStreamRequest => ({
  correlationId,
  request: { key: 'k', workflowId: '', method },
});

type Stream = ClientDuplexStream<AuthorizeStreamRequest, AuthorizeStreamResponse>;

/** Collects what a stream gives until it ends. */
function collect(stream: Stream) {
  const answers: AuthorizeStreamResponse[] = [];
  const ended = new Promise<Pick<ServiceError, 'code' | 'details'>>((resolve) => {
    stream.on('data', (answer: AuthorizeStreamResponse) => answers.push(answer));
    stream.on('error', () => {});
    stream.on('status', resolve);
  });
  return { answers, ended };
}

/** Questions sent over a bare HTTP/2 stream whose answers nobody reads. */
function neverReading(address: string, questions: number) {
  const session = connect(`http://${address}`, { settings: { initialWindowSize: 0 } });
  session.on('error', () => {});
  const stream = session.request({ ':method': 'POST', ':path': PATH, 'content-type': 'application/grpc' });
  stream.on('error', () => {});
  stream.pause();
  const one = framed(AuthorizeStreamRequest.encode(request(1n)).finish());
  stream.write(Buffer.concat(Array.from({ length: questions }, () => one)));
  return session;
}

describe('AuthorizeStream', () => {
  it('answers every question with its correlation id, whatever it is', async () => {
    const { address } = await startGrpcServer();
    const stream = authorizationClient(address).authorizeStream();
    const { answers, ended } = collect(stream);
    const ids = [0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 64n - 1n, 1n];
    ids.forEach((id, index) => {
      stream.write(request(id, `reason:${REASONS[index]}`));
    });
    stream.end();
    expect(await ended).toMatchObject({ code: status.OK });
    expect(answers.map(({ correlationId, response }) => [correlationId, response?.reason as number])).toEqual(
      ids.map((id, index) => [id, REASONS[index]]),
    );
  });

  it('lets answers overtake one that takes longer', async () => {
    const authorizer = new FakeAuthorizer();
    let decide: (verdict: Verdict) => void = () => {};
    authorizer.answer('slow', () => new Promise((resolve) => (decide = resolve)));
    const { address } = await startGrpcServer({ authorizer });
    const stream = authorizationClient(address).authorizeStream();
    const { answers, ended } = collect(stream);
    stream.write(request(1n, 'slow'));
    stream.write(request(2n));
    stream.end();
    await until(() => answers.length === 1);
    expect(answers[0]?.correlationId).toBe(2n);
    decide(authorizer.verdict(1));
    expect(await ended).toMatchObject({ code: status.OK });
    expect(answers.map(({ correlationId }) => correlationId)).toEqual([2n, 1n]);
  });

  it('answers thousands of questions on one stream, each once', async () => {
    const { address } = await startGrpcServer();
    const stream = authorizationClient(address).authorizeStream();
    const { answers, ended } = collect(stream);
    const count = 5_000;
    for (let i = 0; i < count; i++) {
      if (!stream.write(request(BigInt(i)))) await new Promise((resolve) => stream.once('drain', resolve));
    }
    stream.end();
    await ended;
    expect(new Set(answers.map(({ correlationId }) => correlationId)).size).toBe(count);
  }, 60_000);

  it('takes a question without a request for one with empty fields', async () => {
    const authorizer = new FakeAuthorizer();
    const { address } = await startGrpcServer({ authorizer });
    const answer = await rawCall(address, PATH, framed(Buffer.alloc(0)));
    expect(answer.status).toBe(status.OK);
    expect(authorizer.asked).toEqual([{ surface: 'stream', key: '', workflowId: '', method: '' }]);
  });

  it('ends with OK at once when nothing was asked', async () => {
    const { address } = await startGrpcServer();
    expect(await rawCall(address, PATH, Buffer.alloc(0))).toMatchObject({ status: status.OK, body: Buffer.alloc(0) });
  });

  it.each([
    [
      'thrown',
      () => {
        throw new Failure('overloaded', 'Too much.');
      },
      status.RESOURCE_EXHAUSTED,
    ],
    ['rejected', () => Promise.reject(new Failure('unavailable', 'Not now.')), status.UNAVAILABLE],
  ])('ends with the status of a decision that cannot be made, %s', async (_, how, code) => {
    const authorizer = new FakeAuthorizer();
    authorizer.answer('fails', how);
    const { address } = await startGrpcServer({ authorizer });
    const stream = authorizationClient(address).authorizeStream();
    const { answers, ended } = collect(stream);
    stream.write(request(1n));
    stream.write(request(2n, 'fails'));
    expect(await ended).toMatchObject({ code });
    expect(answers.map(({ correlationId }) => correlationId)).toEqual([1n]);
  });

  it('ends with INVALID_ARGUMENT at a broken message', async () => {
    const { address } = await startGrpcServer();
    const good = framed(AuthorizeStreamRequest.encode(request(1n)).finish());
    const answer = await rawCall(address, PATH, Buffer.concat([good, framed(Buffer.from([0x12, 0x05, 0x0a]))]));
    expect(answer.status).toBe(status.INVALID_ARGUMENT);
  });

  it('stops reading from a client that never reads, and serves the others', async () => {
    const authorizer = new FakeAuthorizer();
    const { address } = await startGrpcServer({ authorizer });
    const session = neverReading(address, 10_000);
    try {
      await until(() => authorizer.asked.length >= STREAM_IN_FLIGHT_MAX);
      const stream = authorizationClient(address).authorizeStream();
      const { answers, ended } = collect(stream);
      for (let i = 0; i < 1000; i++) stream.write(request(BigInt(i), 'other'));
      stream.end();
      await ended;
      expect(answers).toHaveLength(1000);
      // After all that, the stalled stream has still been asked no more than its bound.
      expect(authorizer.asked.filter(({ method }) => method === 'm')).toHaveLength(STREAM_IN_FLIGHT_MAX);
    } finally {
      session.destroy();
    }
  });

  it('goes on where a client stopped reading, when it reads again', async () => {
    const { address } = await startGrpcServer();
    const stream = authorizationClient(address).authorizeStream();
    stream.pause();
    const count = 2_000;
    for (let i = 0; i < count; i++) stream.write(request(BigInt(i)));
    stream.end();
    const { answers, ended } = collect(stream);
    stream.resume();
    await ended;
    expect(answers).toHaveLength(count);
  });

  it('forgets a stream whose client leaves, decisions under way included', async () => {
    const authorizer = new FakeAuthorizer();
    let decide: (verdict: Verdict) => void = () => {};
    authorizer.answer('slow', () => new Promise((resolve) => (decide = resolve)));
    const { address, server } = await startGrpcServer({ authorizer });
    const stream = authorizationClient(address).authorizeStream();
    stream.on('error', () => {});
    stream.write(request(1n, 'slow'));
    await until(() => authorizer.asked.length === 1);
    expect(server.openStreams).toBe(1);
    stream.cancel();
    await until(() => server.openStreams === 0);
    decide(authorizer.verdict(1));
  });

  it('refuses streams beyond its bound, serves the rest, and takes new ones when some have ended', async () => {
    const { address, server } = await startGrpcServer();
    const sessions = Array.from({ length: 10 }, () => connect(`http://${address}`));
    let refused = 0;
    for (const session of sessions) {
      session.on('error', () => {});
      await new Promise((resolve) => session.once('remoteSettings', resolve));
      for (let i = 0; i < 1000; i++) {
        const stream = session.request({ ':method': 'POST', ':path': PATH, 'content-type': 'application/grpc' });
        stream.on('error', () => {});
        stream.on('response', (headers) => {
          if (headers['grpc-status'] === String(status.RESOURCE_EXHAUSTED)) refused++;
        });
        stream.on('data', () => {});
      }
    }
    await until(() => refused === 10_000 - STREAMING_CALLS_MAX);
    expect(server.openStreams).toBe(STREAMING_CALLS_MAX);
    for (const session of sessions) session.destroy();
    await until(() => server.openStreams === 0);
    const stream = authorizationClient(address).authorizeStream();
    const { answers, ended } = collect(stream);
    stream.write(request(1n));
    stream.end();
    await ended;
    expect(answers).toHaveLength(1);
  }, 60_000);
});
