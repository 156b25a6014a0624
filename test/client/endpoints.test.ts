import { type ClientUnaryCall, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Attempt, Endpoints } from '../../src/client/endpoints.js';
import type { LatchkeyClientOptions } from '../../src/client/index.js';
import type { Sidecar } from '../../src/client/sidecar.js';

const DEADLINE_MS = 1_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

function grpcError(code: status, details: string): ServiceError {
  return Object.assign(new Error(details), { code, details, metadata: new Metadata() });
}

/** Sidecars without a network, all of them reachable or none. */
function endpointsOf(options: Partial<LatchkeyClientOptions> = {}) {
  const fleet = { connected: false };
  const sidecar = (): Sidecar => ({
    stub: {} as Sidecar['stub'],
    usable: true,
    serving: false,
    get connected() {
      return fleet.connected;
    },
    close: () => {},
  });
  const endpoints = new Endpoints({ address: ['a:1', 'b:2'], deadlineMs: DEADLINE_MS, ...options }, sidecar);
  return { endpoints, fleet };
}

/** Attempts that fail with `error`; what it returns is how often that was. */
function failingWith(error: () => ServiceError | null): { attempt: Attempt<string>; tried: () => number } {
  let tried = 0;
  return {
    tried: () => tried,
    attempt: (_stub, _deadline, done) => {
      tried++;
      queueMicrotask(() => done(error(), 'answer'));
      return { cancel: () => {} } as unknown as ClientUnaryCall;
    },
  };
}

const REFUSED = grpcError(status.UNAVAILABLE, 'connection refused');
const LATE = grpcError(status.DEADLINE_EXCEEDED, 'too late');

async function outcome(calling: Promise<string>): Promise<unknown> {
  const settled = calling.then(
    (answer) => answer,
    (error: unknown) => error,
  );
  await vi.advanceTimersByTimeAsync(2 * DEADLINE_MS);
  return settled;
}

describe('a call', () => {
  it('is tried until its deadline while no sidecar can be reached, and then says where and why', async () => {
    const { endpoints } = endpointsOf({ maxAttempts: 2 });
    const { attempt, tried } = failingWith(() => REFUSED);
    expect(await outcome(endpoints.call(attempt))).toMatchObject({
      name: 'UndecidedError',
      code: 'UNAVAILABLE',
      message: 'UNAVAILABLE: no connection to a:1 or b:2: connection refused',
      cause: REFUSED,
    });
    expect(tried()).toBeGreaterThan(3);
  });

  it('says what the attempts before it found when the deadline ends the last one', async () => {
    const { endpoints } = endpointsOf();
    let refusals = 2;
    const { attempt } = failingWith(() => (refusals-- > 0 ? REFUSED : LATE));
    expect(await outcome(endpoints.call(attempt))).toMatchObject({
      code: 'UNAVAILABLE',
      message: 'UNAVAILABLE: no connection to a:1 or b:2: connection refused',
    });
  });

  it('says that it was too late when no attempt found out more', async () => {
    const { endpoints } = endpointsOf();
    const { attempt, tried } = failingWith(() => LATE);
    expect(await outcome(endpoints.call(attempt))).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      message: 'DEADLINE_EXCEEDED: no connection to a:1 or b:2: too late',
    });
    expect(tried()).toBe(1);
  });

  it('says that it was too late when a sidecar that was reached did not answer', async () => {
    const { endpoints, fleet } = endpointsOf();
    let refusals = 2;
    const { attempt } = failingWith(() => {
      if (refusals-- > 0) return REFUSED;
      fleet.connected = true;
      return LATE;
    });
    expect(await outcome(endpoints.call(attempt))).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      message: 'DEADLINE_EXCEEDED: too late',
    });
  });

  it('is not said to be without a connection when it was answered, whatever became of the connection since', async () => {
    const { endpoints } = endpointsOf();
    const answer = grpcError(status.UNAVAILABLE, 'the database is away');
    answer.metadata.set('grpc-status-details-bin', Buffer.from([8, 14]));
    const { attempt } = failingWith(() => answer);
    expect(await outcome(endpoints.call(attempt))).toMatchObject({ message: 'UNAVAILABLE: the database is away' });
  });

  it('is tried so often and no more when a sidecar is reached', async () => {
    const { endpoints, fleet } = endpointsOf({ maxAttempts: 3 });
    fleet.connected = true;
    const { attempt, tried } = failingWith(() => grpcError(status.UNAVAILABLE, 'shutting down'));
    expect(await outcome(endpoints.call(attempt))).toMatchObject({ message: 'UNAVAILABLE: shutting down' });
    expect(tried()).toBe(3);
  });

  it('counts only the attempts since a sidecar can be reached', async () => {
    const { endpoints, fleet } = endpointsOf({ maxAttempts: 2 });
    let failures = 0;
    const { attempt } = failingWith(() => {
      failures++;
      if (failures === 4) fleet.connected = true;
      return failures < 5 ? REFUSED : null;
    });
    expect(await outcome(endpoints.call(attempt))).toBe('answer');
  });

  it('is tried once where one attempt is asked for', async () => {
    const { endpoints } = endpointsOf({ maxAttempts: 1 });
    const { attempt, tried } = failingWith(() => REFUSED);
    expect(await outcome(endpoints.call(attempt))).toMatchObject({ code: 'UNAVAILABLE' });
    expect(tried()).toBe(1);
  });

  it('is not tried again after an error that would come again, nor is its message touched', async () => {
    const { endpoints } = endpointsOf();
    const { attempt, tried } = failingWith(() => grpcError(status.INVALID_ARGUMENT, 'too long'));
    expect(await outcome(endpoints.call(attempt))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'INVALID_ARGUMENT: too long',
    });
    expect(tried()).toBe(1);
  });
});
