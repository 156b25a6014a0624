import { connect } from 'node:http2';
import { type ClientReadableStream, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import {
  WatchRevocationsRequest,
  type WatchRevocationsResponse,
} from '../../../src/gen/latchkey/v1/authorization_service.js';
import { systemTimers } from '../../../src/observability/system-timers.js';
import type { Timers } from '../../../src/ports/clock.js';
import { silentLogger } from '../../../src/ports/logger.js';
import { WatchRevocations } from '../../../src/service/watch-revocations.js';
import { authorizationService } from '../../../src/transport/grpc/authorization-service.js';
import { WATCH_STALL_MS } from '../../../src/transport/grpc/watch-revocations-call.js';
import { FakeClock } from '../../support/fakes/fake-clock.js';
import { FakeLease } from '../../support/fakes/fake-lease.js';
import { FakeTimers } from '../../support/fakes/fake-timers.js';
import { RecordingMetrics } from '../../support/fakes/recording-metrics.js';
import {
  authorizationClient,
  errorReason,
  FakeAuthorizer,
  framed,
  rawCall,
  startGrpcServer,
  stopGrpcServers,
  until,
} from '../../support/grpc.js';
import { MemoryLog } from '../../support/memory-log.js';

afterEach(stopGrpcServers);

const PATH = '/latchkey.v1.AuthorizationService/WatchRevocations';

/** A server over a history in memory. `transportTimers` are those of the calls, apart from the watch's own. */
async function start(transportTimers: Timers = systemTimers, recentEvents = 10_000) {
  const log = new MemoryLog();
  const metrics = new RecordingMetrics();
  const watch = new WatchRevocations({
    log,
    lease: new FakeLease().grant(),
    timers: systemTimers,
    metrics,
    recentEvents,
  });
  const service = authorizationService({
    authorizer: new FakeAuthorizer(),
    watch,
    timers: transportTimers,
    metrics,
    logger: silentLogger,
  });
  const started = await startGrpcServer({ services: [service] });
  const revoke = (keyId: string, accountId?: string) => watch.apply(log.revoke(keyId, accountId));
  return { ...started, log, metrics, revoke, client: authorizationClient(started.address) };
}

function collect(stream: ClientReadableStream<WatchRevocationsResponse>) {
  const messages: WatchRevocationsResponse[] = [];
  stream.on('data', (message: WatchRevocationsResponse) => messages.push(message));
  const ended = new Promise<ServiceError>((resolve) => stream.on('error', resolve));
  return {
    messages,
    ended,
    get keys() {
      return messages.flatMap(({ event }) => (event?.$case === 'revocation' ? [event.value.keyId] : []));
    },
  };
}

describe('WatchRevocations', () => {
  it('begins with a heartbeat and tells revocations as they are applied', async () => {
    const { client, revoke, log } = await start();
    log.commit('key-created');
    const stream = client.watchRevocations({ afterSequence: 0n, accountId: '' });
    const { messages } = collect(stream);
    await until(() => messages.length === 1);
    revoke('key-1');
    await until(() => messages.length === 2);
    expect(messages).toEqual([
      { sequence: 1n, event: { $case: 'heartbeat', value: {} } },
      {
        sequence: 2n,
        event: {
          $case: 'revocation',
          value: { keyId: 'key-1', accountId: 'account-a', appId: '', revokedAt: new Date(1001) },
        },
      },
    ]);
    stream.cancel();
  });

  it('resumes without a gap, and follows one account if asked', async () => {
    const { client, revoke } = await start();
    for (const [key, account] of [
      ['a', 'mine'],
      ['b', 'other'],
      ['c', 'mine'],
    ])
      revoke(key as string, account);
    const all = collect(client.watchRevocations({ afterSequence: 1n, accountId: '' }));
    const mine = collect(client.watchRevocations({ afterSequence: 1n, accountId: 'mine' }));
    await until(() => all.keys.length === 2 && mine.keys.length === 1);
    revoke('d', 'mine');
    await until(() => all.keys.length === 3 && mine.keys.length === 2);
    expect([all.keys, mine.keys]).toEqual([
      ['b', 'c', 'd'],
      ['c', 'd'],
    ]);
  });

  it.each([
    ['older than what is kept', 1n],
    ['ahead of the newest', 9n],
    ['the largest there is', 2n ** 64n - 1n],
  ])('answers OUT_OF_RANGE to a sequence that is %s', async (_, afterSequence) => {
    const { client, log } = await start();
    for (let i = 0; i < 4; i++) log.revoke(`${i}`);
    log.prune(2n);
    const { ended } = collect(client.watchRevocations({ afterSequence, accountId: '' }));
    const error = await ended;
    expect(error.code).toBe(status.OUT_OF_RANGE);
    expect(errorReason(error)).toBe('HISTORY_PRUNED');
  });

  it('answers UNAVAILABLE when the history cannot be read', async () => {
    const { client, log } = await start();
    log.failing = 1;
    const { ended } = collect(client.watchRevocations({ afterSequence: 1n, accountId: '' }));
    expect((await ended).code).toBe(status.UNAVAILABLE);
  });

  it.each([
    ['broken protobuf', Buffer.from([0x08])],
    ['an account that is not UTF-8', Buffer.from([0x12, 0x01, 0xff])],
    [
      'an account of 4097 bytes',
      WatchRevocationsRequest.encode({ afterSequence: 0n, accountId: 'a'.repeat(4097) }).finish(),
    ],
  ])('refuses %s as INVALID_ARGUMENT', async (_, message) => {
    const { address } = await start();
    expect((await rawCall(address, PATH, framed(message))).status).toBe(status.INVALID_ARGUMENT);
  });

  it('ends its work when the client leaves', async () => {
    const { client, server } = await start();
    const stream = client.watchRevocations({ afterSequence: 0n, accountId: '' });
    const { messages } = collect(stream);
    await until(() => messages.length === 1);
    expect(server.openStreams).toBe(1);
    stream.cancel();
    await until(() => server.openStreams === 0);
  });

  it('cuts off a reader that stands still and tells it to resume', async () => {
    const timers = new FakeTimers(new FakeClock());
    const { address, revoke, metrics } = await start(timers);
    const session = connect(`http://${address}`, { settings: { initialWindowSize: 0 } });
    try {
      session.on('error', () => {});
      const stream = session.request({ ':method': 'POST', ':path': PATH, 'content-type': 'application/grpc' });
      const trailers = new Promise<Record<string, unknown>>((resolve) => stream.once('trailers', resolve));
      stream.on('error', () => {});
      stream.end(framed(Buffer.alloc(0)));
      await new Promise((resolve) => stream.once('response', resolve));
      for (let i = 0; i < 100; i++) revoke(`${i}`);
      // The call notices that what it wrote is not taken, and begins to count.
      await until(() => timers.pending > 0);
      timers.advance(WATCH_STALL_MS);
      await until(() => metrics.count('watcherCutOff') === 1);
      // Reading at last, the client finds what it must do.
      session.settings({ initialWindowSize: 1_000_000 });
      stream.resume();
      expect(await trailers).toMatchObject({ 'grpc-status': String(status.ABORTED) });
    } finally {
      session.destroy();
    }
  });

  it('does not cut off a reader that reads on in time', async () => {
    const timers = new FakeTimers(new FakeClock());
    const { client, revoke, metrics } = await start(timers);
    const stream = client.watchRevocations({ afterSequence: 0n, accountId: '' });
    const watcher = collect(stream);
    await until(() => watcher.messages.length === 1);
    for (let round = 1; round <= 10; round++) {
      for (let i = 0; i < 100; i++) revoke(`${i}`);
      await until(() => watcher.keys.length === round * 100);
      timers.advance(WATCH_STALL_MS);
    }
    expect(metrics.count('watcherCutOff')).toBe(0);
    expect(timers.pending).toBe(0);
    stream.cancel();
  });
});
