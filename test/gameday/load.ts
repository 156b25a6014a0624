import { setTimeout as sleep } from 'node:timers/promises';
import { createLatchkeyClient, type LatchkeyClient, UndecidedError } from '../../src/client/index.js';
import { ObservedHistory } from '../fault/observed-history.js';
import type { GameSidecar } from './sidecar.js';

/** A key that the load asks about. */
export interface LoadKey {
  readonly index: number;
  readonly rawKey: string;
}

/** What clients saw in one phase. */
export interface Tally {
  granted: number;
  denied: number;
  /** By gRPC status. */
  readonly undecided: Record<string, number>;
  /** Calls through the client library, which tries again and knows both sidecars, and those of them that failed. */
  retried: number;
  retriedFailed: number;
  created: number;
  /** Confirmed revocations, and the longest in ms. */
  confirmed: number;
  slowestMs: number;
  /** Answers to POST and DELETE other than success, by method and status; 0: no answer. */
  readonly refused: Record<string, number>;
}

const ASKERS_PER_SIDECAR = 2;
const PAUSE_MS = 8;
/** Longest effort to have one key's revocation confirmed, ms: afterwards it counts as never confirmed. */
const REVOKE_EFFORT_MS = 30_000;

function emptyTally(): Tally {
  return {
    granted: 0,
    denied: 0,
    undecided: {},
    retried: 0,
    retriedFailed: 0,
    created: 0,
    confirmed: 0,
    slowestMs: 0,
    refused: {},
  };
}

/** Sidecars under a steady load: questions to each, calls through the client library, creations and revocations. */
export class Load {
  readonly history = new ObservedHistory();
  private tally = emptyTally();
  private over = false;
  private work: Promise<unknown> = Promise.resolve();
  private readonly client: LatchkeyClient;
  private readonly revoked: LoadKey[] = [];
  private nextIndex = 0;
  /** Whether every connection to ask on is made anew again and again: what is about handshakes shows on new ones only. */
  reconnecting = false;

  /**
   * @param live raw keys that stay good
   * @param session cookie of their account
   */
  constructor(
    private readonly sidecars: readonly GameSidecar[],
    private readonly live: readonly string[],
    private readonly session: string,
  ) {
    const ca = sidecars[0]?.ca ?? null;
    this.client = createLatchkeyClient({
      address: sidecars.map(({ grpc }) => grpc),
      deadlineMs: 2_000,
      maxAttempts: 8,
      ...(ca === null ? {} : { tls: { ca } }),
    });
    this.nextIndex = live.length;
  }

  start(): void {
    this.work = Promise.all([
      ...this.sidecars.flatMap((sidecar) => Array.from({ length: ASKERS_PER_SIDECAR }, () => this.ask(sidecar))),
      this.askThroughClient(),
      this.createAndRevoke(),
      this.reconnect(),
    ]);
  }

  /** Begins a new phase and returns what was seen in the last. */
  turn(): Tally {
    const { tally } = this;
    this.tally = emptyTally();
    return tally;
  }

  async stop(): Promise<void> {
    this.over = true;
    await this.work;
    this.client.close();
  }

  private async one(sidecar: GameSidecar, key: LoadKey): Promise<void> {
    const askedAtMs = performance.now();
    const answer = await sidecar.ask(key.rawKey);
    const decided = typeof answer === 'string';
    this.history.answered(key.index, sidecar.name, askedAtMs, performance.now(), decided ? answer : null);
    const { tally } = this;
    if (!decided) tally.undecided[answer.error] = (tally.undecided[answer.error] ?? 0) + 1;
    else if (answer === 'granted') tally.granted++;
    else tally.denied++;
  }

  private async ask(sidecar: GameSidecar): Promise<void> {
    for (let count = 0; !this.over; count++) {
      const young = this.revoked.slice(-20);
      const index = Math.floor(Math.random() * this.live.length);
      const key =
        count % 2 === 0 && young.length > 0
          ? young[Math.floor(Math.random() * young.length)]
          : { index, rawKey: this.live[index] ?? '' };
      if (key !== undefined) await this.one(sidecar, key);
      await sleep(PAUSE_MS);
    }
  }

  private async askThroughClient(): Promise<void> {
    const { client } = this;
    while (!this.over) {
      const rawKey = this.live[Math.floor(Math.random() * this.live.length)] ?? '';
      const { tally } = this;
      tally.retried++;
      try {
        const { allowed } = await client.authorize({ key: rawKey, workflowId: 'w', method: 'nodes.list' });
        if (!allowed) tally.retriedFailed++;
      } catch (error) {
        if (!(error instanceof UndecidedError)) throw error;
        tally.retriedFailed++;
      }
      await sleep(PAUSE_MS);
    }
  }

  private async createAndRevoke(): Promise<void> {
    for (let count = 0; !this.over; count++) {
      const one = this.sidecars[count % this.sidecars.length] as GameSidecar;
      const created = await this.rest(one, 'POST', '/api/keys', { name: `game day ${count}` });
      if (created.status !== 201) {
        await sleep(100);
        continue;
      }
      this.tally.created++;
      const key = { index: this.nextIndex++, rawKey: String(created.body['raw_key']) };
      await Promise.all(this.sidecars.map((sidecar) => this.one(sidecar, key)));
      await this.revoke(key, String(created.body['id']), count);
      await sleep(20);
    }
  }

  private async revoke(key: LoadKey, id: string, first: number): Promise<void> {
    const startedAtMs = performance.now();
    for (let attempt = first + 1; performance.now() - startedAtMs < REVOKE_EFFORT_MS; attempt++) {
      const sidecar = this.sidecars[attempt % this.sidecars.length] as GameSidecar;
      const { status } = await this.rest(sidecar, 'DELETE', `/api/keys/${id}`);
      if (status === 200) {
        const nowMs = performance.now();
        this.tally.confirmed++;
        this.tally.slowestMs = Math.max(this.tally.slowestMs, nowMs - startedAtMs);
        this.history.confirmed(key.index, nowMs);
        this.revoked.push(key);
        await Promise.all(this.sidecars.flatMap((each) => [this.one(each, key), this.one(each, key)]));
        return;
      }
      if (this.over) return;
      await sleep(100);
    }
  }

  private async rest(sidecar: GameSidecar, method: string, path: string, body?: object) {
    const answer = await sidecar.rest(method, path, this.session, body);
    if (answer.status !== 200 && answer.status !== 201) {
      const name = `${method} ${answer.status}`;
      this.tally.refused[name] = (this.tally.refused[name] ?? 0) + 1;
    }
    return answer;
  }

  private async reconnect(): Promise<void> {
    while (!this.over) {
      if (this.reconnecting) for (const sidecar of this.sidecars) sidecar.reconnect();
      await sleep(300);
    }
  }
}
