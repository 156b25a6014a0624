import { createHash } from 'node:crypto';
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify';
import type { SessionConfig } from '../../../src/config.js';
import { Failure, type FailureKind } from '../../../src/domain/failure.js';
import { mintRawKey } from '../../../src/domain/raw-key.js';
import type { Barrier, ConfirmedCommit, Receipt } from '../../../src/ports/barrier.js';
import type { LogFields, Logger } from '../../../src/ports/logger.js';
import { KeyService } from '../../../src/service/keys.js';
import { MemoryKeyRegistry } from '../../../src/store/memory-key-registry.js';
import { createHttpApp, type HttpAppParts } from '../../../src/transport/http/app.js';
import { createSessions } from '../../../src/transport/http/sessions/create-sessions.js';
import { FakeClock } from '../../support/fakes/fake-clock.js';
import { RecordingMetrics } from '../../support/fakes/recording-metrics.js';

/** The workflows of two accounts. */
export const WORKFLOWS = [
  { id: 'workflow-nightly', name: 'Nightly report', accountId: 'ada' },
  { id: 'workflow-intake', name: 'Lead intake', accountId: 'ada' },
  { id: 'workflow-payroll', name: 'Payroll', accountId: 'bob' },
];

/** A valid cookie of each account. */
export const ADA = 'session=token-of-ada';
export const BOB = 'session=token-of-bob';

/** A barrier that proves at once, or fails as told. */
export class FakeBarrier implements Barrier {
  confirmed = 0;
  failure: FailureKind | null = null;

  async confirm(commit: ConfirmedCommit): Promise<Receipt> {
    if (this.failure !== null) throw new Failure(this.failure, 'not proven');
    this.confirmed++;
    return {
      sequence: 41n,
      committedAtMs: commit.committedAtMs,
      confirmedInMs: 4.25,
      sidecars: { acknowledged: 2, expired: 1 },
      slowestAckMs: 3.5,
    };
  }

  async settle(): Promise<boolean> {
    return true;
  }
}

/** Keeps every line. */
export class RecordingLogger implements Logger {
  readonly lines: { readonly level: string; readonly message: string; readonly fields: LogFields }[] = [];
  readonly debug = this.writer('debug');
  readonly info = this.writer('info');
  readonly warn = this.writer('warn');
  readonly error = this.writer('error');
  child(): Logger {
    return this;
  }

  private writer(level: string) {
    return (message: string, fields: LogFields = {}) => void this.lines.push({ level, message, fields });
  }
}

export interface AppUnderTest {
  readonly app: FastifyInstance;
  readonly registry: MemoryKeyRegistry;
  readonly barrier: FakeBarrier;
  readonly clock: FakeClock;
  readonly metrics: RecordingMetrics;
  readonly logger: RecordingLogger;
  /** Sends JSON (or no body) as ada. */
  readonly ada: (method: 'GET' | 'POST' | 'DELETE', url: string, body?: unknown) => Promise<LightMyRequestResponse>;
  /** Sends anything. */
  readonly send: (options: InjectOptions) => Promise<LightMyRequestResponse>;
}

export interface AppOptions extends Partial<HttpAppParts> {
  readonly maxActiveKeys?: number;
  readonly session?: SessionConfig;
}

/** The adapter over a registry in memory, with sessions in a table. */
export async function appUnderTest({ maxActiveKeys = 100, ...given }: AppOptions = {}): Promise<AppUnderTest> {
  const clock = new FakeClock();
  const registry = new MemoryKeyRegistry(clock, WORKFLOWS);
  const barrier = new FakeBarrier();
  const metrics = new RecordingMetrics();
  const logger = new RecordingLogger();
  const session = given.session ?? ({ mode: 'table', cookie: 'session' } as const);
  const accounts = new Map(['ada', 'bob'].map((account) => [sha256(`token-of-${account}`), account]));
  const source = { accountOf: async (hash: Buffer) => accounts.get(hash.toString('hex')) ?? null };
  const app = createHttpApp({
    keys: new KeyService({ registry, barrier, logger, mintRawKey, maxActiveKeys }),
    sessions: await createSessions(session, { clock, source }),
    metrics,
    logger,
    clock,
    allowedOrigins: ['https://dashboard.example'],
    keyCreationsPerMinute: 1000,
    ...given,
    session,
  });
  await app.ready();
  const send = (options: InjectOptions) => app.inject(options);
  return {
    app,
    registry,
    barrier,
    clock,
    metrics,
    logger,
    send,
    ada: (method, url, body) =>
      send({
        method,
        url,
        headers: { cookie: ADA, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
      }),
  };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
