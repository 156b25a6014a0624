import { Readable } from 'node:stream';
import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Endpoints } from '../../src/client/endpoints.js';
import { createLatchkeyClient, type WatchEvent, type WatchOptions } from '../../src/client/index.js';
import { SILENCE_MS, watchRevocations } from '../../src/client/watch-revocations.js';
import { systemTimers } from '../../src/observability/system-timers.js';
import type { RevocationWatch } from '../../src/service/revocation-watch.js';
import { WatchRevocations } from '../../src/service/watch-revocations.js';
import { FakeLease } from '../support/fakes/fake-lease.js';
import { RecordingMetrics } from '../support/fakes/recording-metrics.js';
import { closing, startGrpcServer, stopGrpcServers, until } from '../support/grpc.js';
import { MemoryLog } from '../support/memory-log.js';

afterEach(stopGrpcServers);

/** Servers that come and go in front of one history. */
class Deployment {
  readonly log = new MemoryLog();
  private watch: WatchRevocations = this.sidecar();
  private server: Awaited<ReturnType<typeof startGrpcServer>> | null = null;

  private sidecar(): WatchRevocations {
    return new WatchRevocations({
      log: this.log,
      lease: new FakeLease().grant(),
      timers: systemTimers,
      metrics: new RecordingMetrics(),
    });
  }

  async start(port = 0): Promise<string> {
    this.watch = this.sidecar();
    const address = { kind: 'tcp', host: '127.0.0.1', port, text: `127.0.0.1:${port}` } as const;
    this.server = await startGrpcServer({ watch: this.watch, addresses: [address] });
    return this.server.address;
  }

  async stop(): Promise<void> {
    await this.server?.stop();
  }

  revoke(keyId: string): void {
    this.watch.apply(this.log.revoke(keyId));
  }

  /** Starts over in a history that is another one. */
  forgetAll(): void {
    this.watch.forgetAll();
  }
}

function follow(address: string, options: WatchOptions = {}) {
  const client = closing(createLatchkeyClient({ address, healthChecks: false }));
  const leave = new AbortController();
  const events: WatchEvent[] = [];
  let failure: unknown = null;
  const done = (async () => {
    try {
      for await (const event of client.watchRevocations({ signal: leave.signal, ...options })) events.push(event);
    } catch (error) {
      failure = error;
    }
  })();
  return {
    events,
    client,
    leave,
    done,
    get failure() {
      return failure;
    },
    get told() {
      return events.flatMap((event) => (event.kind === 'revoked' ? event.keyId : event.kind === 'recheck' ? '!' : []));
    },
  };
}

/** A stream that says what is pushed and ends as gRPC's do when it is cancelled. */
class SilentStream extends Readable {
  cancelled = false;

  constructor() {
    super({ objectMode: true, read() {} });
  }

  cancel(): void {
    if (this.cancelled) return;
    this.cancelled = true;
    this.destroy(Object.assign(new Error('cancelled'), { code: status.CANCELLED, details: 'cancelled' }));
  }
}

const portOf = (address: string) => Number(address.split(':')[1]);

describe('watchRevocations', () => {
  it('tells revocations as they happen', async () => {
    const deployment = new Deployment();
    deployment.log.commit('key-created');
    const watcher = follow(await deployment.start());
    await until(() => watcher.events.length === 1);
    deployment.revoke('a');
    await until(() => watcher.events.length === 2);
    expect(watcher.events).toEqual([
      { kind: 'heartbeat', sequence: 1n },
      { kind: 'revoked', sequence: 2n, keyId: 'a', accountId: 'account-a', appId: '', revokedAt: new Date(1001) },
    ]);
    watcher.leave.abort();
    await watcher.done;
  });

  it('resumes by itself and misses nothing that happened while it was away', async () => {
    const deployment = new Deployment();
    deployment.log.commit('key-created');
    const address = await deployment.start();
    const watcher = follow(address);
    await until(() => watcher.events.length === 1);
    for (let round = 0; round < 3; round++) {
      deployment.revoke(`seen-${round}`);
      await until(() => watcher.told.includes(`seen-${round}`));
      await deployment.stop();
      deployment.log.revoke(`missed-${round}`);
      await deployment.start(portOf(address));
      await until(() => watcher.told.includes(`missed-${round}`));
    }
    expect(watcher.told).toEqual([0, 1, 2].flatMap((round) => [`seen-${round}`, `missed-${round}`]));
    watcher.leave.abort();
  });

  it('asks for a check of everything when its place is lost, once the new watch stands', async () => {
    const deployment = new Deployment();
    deployment.log.commit('key-created');
    const address = await deployment.start();
    const watcher = follow(address);
    await until(() => watcher.events.length === 1);
    await deployment.stop();
    for (const keyId of ['x', 'y', 'z']) deployment.log.revoke(keyId);
    deployment.log.prune(3n);
    await deployment.start(portOf(address));
    await until(() => watcher.told.length === 1);
    deployment.revoke('after');
    await until(() => watcher.told.length === 2);
    expect(watcher.told).toEqual(['!', 'after']);
    expect(watcher.events.find(({ kind }) => kind === 'recheck')?.sequence).toBe(4n);
    watcher.leave.abort();
  });

  it('asks for a check when a running watch is told that the history cannot be told', async () => {
    const deployment = new Deployment();
    deployment.log.commit('key-created');
    const watcher = follow(await deployment.start());
    await until(() => watcher.events.length === 1);
    deployment.log.rewind(0n);
    deployment.log.commit('key-created', { token: 'another history' });
    deployment.forgetAll();
    await until(() => watcher.told.length === 1);
    expect(watcher.told).toEqual(['!']);
    watcher.leave.abort();
  });

  it('says that it was interrupted, once for each time, before anything else', async () => {
    const deployment = new Deployment();
    deployment.log.commit('key-created');
    const address = await deployment.start();
    const watcher = follow(address);
    await until(() => watcher.events.length === 1);
    for (let round = 1; round <= 2; round++) {
      const before = watcher.events.length;
      await deployment.stop();
      await until(() => watcher.events.length > before);
      deployment.revoke(`missed-${round}`);
      await deployment.start(portOf(address));
      await until(() => watcher.told.includes(`missed-${round}`));
      expect(watcher.events[before]).toEqual({ kind: 'interrupted', sequence: BigInt(round) });
      expect(watcher.events.slice(before + 1).map(({ kind }) => kind)).not.toContain('interrupted');
    }
    watcher.leave.abort();
    await watcher.done;
    expect(watcher.events.filter(({ kind }) => kind === 'interrupted')).toHaveLength(2);
  });

  it('says nothing of an interruption before it has begun', async () => {
    const deployment = new Deployment();
    deployment.log.commit('key-created');
    const address = await deployment.start();
    await deployment.stop();
    const watcher = follow(address);
    // The first attempt fails; what comes first is the beginning.
    await new Promise((resolve) => setImmediate(resolve));
    await deployment.start(portOf(address));
    await until(() => watcher.events.length === 1);
    expect(watcher.events[0]?.kind).toBe('heartbeat');
    watcher.leave.abort();
  });

  it('takes a server for lost that was silent for three heartbeats, and resumes', async () => {
    vi.useFakeTimers();
    try {
      const calls: { readonly after: bigint; readonly stream: SilentStream }[] = [];
      const stub = {
        watchRevocations({ afterSequence }: { afterSequence: bigint }) {
          const stream = new SilentStream();
          calls.push({ after: afterSequence, stream });
          return stream;
        },
      };
      const endpoints = { choose: () => ({ stub }), closed: new AbortController() } as unknown as Endpoints;
      const events = watchRevocations(endpoints, {});
      const first = events.next();
      calls[0]?.stream.push({ sequence: 7n });
      expect((await first).value).toEqual({ kind: 'heartbeat', sequence: 7n });
      const second = events.next();
      await vi.advanceTimersByTimeAsync(SILENCE_MS - 1);
      expect(calls[0]?.stream.cancelled).toBe(false);
      await vi.advanceTimersByTimeAsync(1);
      expect(calls[0]?.stream.cancelled).toBe(true);
      expect((await second).value).toEqual({ kind: 'interrupted', sequence: 7n });
      const third = events.next();
      await vi.advanceTimersByTimeAsync(5_000);
      // Attempts in vain are one interruption with the first.
      calls[1]?.stream.cancel();
      await vi.advanceTimersByTimeAsync(5_000);
      calls[2]?.stream.cancel();
      await vi.advanceTimersByTimeAsync(5_000);
      expect(calls.map(({ after }) => after)).toEqual([0n, 7n, 7n, 7n]);
      calls[3]?.stream.push({ sequence: 7n });
      expect((await third).value).toEqual({ kind: 'heartbeat', sequence: 7n });
      await events.return();
    } finally {
      vi.useRealTimers();
    }
  });

  it('does not resume a history that was empty as if nothing could have happened', async () => {
    const deployment = new Deployment();
    const address = await deployment.start();
    const watcher = follow(address);
    await until(() => watcher.events.length === 1);
    await deployment.stop();
    deployment.log.revoke('missed');
    await deployment.start(portOf(address));
    await until(() => watcher.told.length === 1);
    expect(watcher.told).toEqual(['!']);
    watcher.leave.abort();
  });

  it('begins after a sequence that was kept from before', async () => {
    const deployment = new Deployment();
    for (const keyId of ['a', 'b', 'c']) deployment.log.revoke(keyId);
    const watcher = follow(await deployment.start(), { afterSequence: 1n });
    await until(() => watcher.told.length === 2);
    expect(watcher.told).toEqual(['b', 'c']);
    watcher.leave.abort();
  });

  it('throws where trying again cannot help', async () => {
    const deployment = new Deployment();
    const watcher = follow(await deployment.start(), { accountId: 'a'.repeat(5_000) });
    await watcher.done;
    expect(watcher.failure).toMatchObject({ name: 'UndecidedError', code: 'INVALID_ARGUMENT' });
  });

  it('ends when the client is closed, and leaves nothing behind when the loop is left', async () => {
    const deployment = new Deployment();
    const address = await deployment.start();
    const watcher = follow(address);
    await until(() => watcher.events.length === 1);
    watcher.client.close();
    await watcher.done;
    expect(watcher.failure).toBeNull();

    const client = closing(createLatchkeyClient({ address, healthChecks: false }));
    for await (const event of client.watchRevocations()) {
      expect(event.kind).toBe('heartbeat');
      break;
    }
  });

  it('holds back the server, not its own memory, when the consumer is slow', async () => {
    let sent = 0;
    const endless: RevocationWatch = {
      async *watch(_, signal) {
        for (let i = 1n; !signal.aborted; i++) {
          sent++;
          yield { sequence: i, revocation: null };
        }
      },
    };
    const { address } = await startGrpcServer({ watch: endless });
    const client = closing(createLatchkeyClient({ address, healthChecks: false }));
    const events = client.watchRevocations()[Symbol.asyncIterator]();
    await events.next();
    // The server stops at what the buffers on the way hold.
    let before = -1;
    while (before !== sent) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect((await events.next()).value).toEqual({ kind: 'heartbeat', sequence: 2n });
    await events.return?.(undefined);
  });
});
