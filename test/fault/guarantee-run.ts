import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { hashRawKey, keyHashToBytes, mintRawKey } from '../../src/domain/raw-key.js';
import { silentLogger } from '../../src/ports/logger.js';
import type { Protections } from '../../src/ports/protections.js';
import { migrate } from '../../src/store/postgres/migrate.js';
import type { PostgresServer } from '../support/postgres-server.js';
import { FAULTS, type Fault } from './faults.js';
import { ObservedHistory } from './observed-history.js';
import { Sidecar } from './sidecar.js';

/** One run of the fault harness. */
export interface GuaranteeRunOptions {
  readonly seconds: number;
  readonly sidecars: number;
  readonly leaseMs: number;
  readonly seed: number;
  /** Protections to remove. */
  readonly protections: Partial<Protections>;
  /** Which faults happen; all of them by default. */
  readonly faults?: readonly Fault[];
  /** Share of the keys that no sidecar was asked about before they are revoked; {@link COLD_SHARE} by default. */
  readonly coldShare?: number;
  /** Stop as soon as a wrong answer was seen. */
  readonly stopAtViolation?: boolean;
  /** Promote the standby, and fence the old primary, after this share of the run; `null`: no failover. */
  readonly failoverAt?: number | null;
}

/** What a run saw. */
export interface GuaranteeRunResult {
  readonly history: ObservedHistory;
  readonly faults: Readonly<Record<string, number>>;
  readonly commitsCut: number;
  /** From the DELETE's request to its confirmation, ms, ascending. */
  readonly confirmationMs: readonly number[];
  readonly failedOver: boolean;
}

interface Key {
  readonly index: number;
  readonly id: string;
  readonly rawKey: string;
}

const ACCOUNT = 'guarantee';
const KEYS_AT_ONCE = 100;
/** Loops that revoke, and loops that ask each sidecar. */
const REVOKERS = 12;
const ASKERS_PER_SIDECAR = 4;
/** Keys that no sidecar has been asked about before they are revoked: their reads race the revocation. */
const COLD_SHARE = 0.3;
/** Questions about one key right after its confirmation, to each sidecar. */
const QUESTIONS_AT_ONCE = 3;

/** A small generator with a seed (mulberry32): faults come in the same order for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The port of a server. */
function portOf(server: PostgresServer): number {
  return Number(new URL(server.url).port);
}

/**
 * Real sidecar processes on a real PostgreSQL, questions and revocations from outside, faults in between.
 *
 * `primary` is migrated and filled here; `standby`, if given, follows it synchronously and takes over in a failover.
 */
export async function guaranteeRun(
  primary: PostgresServer,
  standby: PostgresServer | null,
  options: GuaranteeRunOptions,
): Promise<GuaranteeRunResult> {
  const random = seededRandom(options.seed);
  const history = new ObservedHistory();
  const counts: Record<string, number> = {};
  const confirmationMs: number[] = [];
  let server = primary;
  let failedOver = false;
  let changingServer = false;

  const sql = async (text: string, values: readonly unknown[] = []): Promise<pg.QueryResult> => {
    // A connection a call: the server is restarted and replaced under us.
    for (let attempt = 0; ; attempt++) {
      const client = new pg.Client({ connectionString: server.url, connectionTimeoutMillis: 2000 });
      client.on('error', () => {});
      try {
        await client.connect();
        return await client.query(text, values as unknown[]);
      } catch (error) {
        if (attempt === 40) throw error;
        await sleep(250);
      } finally {
        await client.end().catch(() => {});
      }
    }
  };

  await migrate({ url: server.url, logger: silentLogger });
  const sessionToken = randomBytes(16).toString('hex');
  await sql(
    `INSERT INTO latchkey.sessions (token_hash, account_id, expires_at) VALUES ($1, $2, now() + interval '1 day')`,
    [createHash('sha256').update(sessionToken).digest(), ACCOUNT],
  );

  const databaseUrl = (port: number): string => {
    const url = new URL(server.url);
    url.hostname = '127.0.0.1';
    url.port = String(port);
    return url.href;
  };
  const sidecars = await Promise.all(
    Array.from({ length: options.sidecars }, (_, index) =>
      Sidecar.start({
        name: `sidecar ${index + 1}`,
        databasePort: portOf(server),
        databaseUrl,
        leaseMs: options.leaseMs,
        protections: options.protections,
      }),
    ),
  );

  let over = false;
  const stopped = () => over || (options.stopAtViolation === true && history.violations.length > 0);
  const live: Key[] = [];
  const revoked: Key[] = [];
  let nextIndex = 0;

  const mint = async (): Promise<void> => {
    const rawKeys = Array.from({ length: KEYS_AT_ONCE }, mintRawKey);
    const { rows } = await sql(
      `INSERT INTO latchkey.api_keys (account_id, name, key_hash, key_prefix, permissions)
         SELECT $1, 'key', hash, 'nk_live_0000', '{read}' FROM unnest($2::bytea[]) AS hash
         RETURNING id, key_hash`,
      [ACCOUNT, rawKeys.map((rawKey) => keyHashToBytes(hashRawKey(rawKey)))],
    );
    const rawKeyOf = new Map(rawKeys.map((rawKey) => [keyHashToBytes(hashRawKey(rawKey)).toString('hex'), rawKey]));
    for (const row of rows as { id: string; key_hash: Buffer }[]) {
      live.push({ index: nextIndex++, id: row.id, rawKey: rawKeyOf.get(row.key_hash.toString('hex')) as string });
    }
  };

  const ask = async (sidecar: Sidecar, key: Key): Promise<void> => {
    const askedAtMs = performance.now();
    const answer = await sidecar.ask(key.rawKey);
    history.answered(key.index, sidecar.name, askedAtMs, performance.now(), answer);
  };

  const asker = async (sidecar: Sidecar): Promise<void> => {
    while (!stopped()) {
      // Young revocations are where a stale answer would be; live keys keep the caches warm.
      const pool = random() < 0.6 && revoked.length > 0 ? revoked : live.slice(0, KEYS_AT_ONCE / 4);
      const recent = pool === revoked ? revoked.slice(-60) : pool;
      const key = recent[Math.floor(random() * recent.length)];
      if (key === undefined || sidecar.impaired) await sleep(5);
      else {
        await ask(sidecar, key);
        await sleep(1);
      }
    }
  };

  const revoker = async (): Promise<void> => {
    while (!stopped()) {
      if (live.length < KEYS_AT_ONCE / 2) await mint();
      // The askers keep to the front of the list: what is taken from its end is in no cache.
      const cold = random() < (options.coldShare ?? COLD_SHARE);
      const key = cold ? live.pop() : live.shift();
      if (key === undefined) continue;
      // Into every cache that can be reached, so that a revocation has something to take back; or on the way there.
      const asked = Promise.all(sidecars.map((sidecar) => (sidecar.impaired ? null : ask(sidecar, key))));
      if (!cold) await asked;
      const startedAtMs = performance.now();
      const giveUpAtMs = startedAtMs + 15_000;
      let confirmed = false;
      while (!confirmed && !over && performance.now() < giveUpAtMs) {
        const healthy = sidecars.filter((sidecar) => !sidecar.impaired && !sidecar.unconfirming);
        const through = healthy[Math.floor(random() * healthy.length)];
        if (through === undefined) await sleep(20);
        else {
          confirmed = await through.revoke(key.id, sessionToken, 10_000);
          if (!confirmed) await sleep(20);
        }
      }
      if (!confirmed) continue;
      const nowMs = performance.now();
      confirmationMs.push(nowMs - startedAtMs);
      history.confirmed(key.index, nowMs);
      revoked.push(key);
      await Promise.all(
        sidecars.flatMap((sidecar) => Array.from({ length: QUESTIONS_AT_ONCE }, () => ask(sidecar, key))),
      );
    }
  };

  const faults = options.faults ?? FAULTS;
  const weights = faults.reduce((sum, fault) => sum + fault.weight, 0);
  const injector = async (): Promise<void> => {
    while (!stopped()) {
      await sleep(options.leaseMs * (0.1 + 0.5 * random()));
      if (stopped() || weights === 0) return;
      let draw = random() * weights;
      const fault = faults.find((candidate) => {
        draw -= candidate.weight;
        return draw < 0;
      });
      if (fault === undefined) continue;
      counts[fault.name] = (counts[fault.name] ?? 0) + 1;
      await fault.inject({
        sidecars,
        leaseMs: options.leaseMs,
        sql,
        random,
        sleep: (ms) => sleep(ms),
        restartDatabase: async (mode) => {
          if (changingServer) return;
          changingServer = true;
          const restarted = server;
          await (mode === 'fast' ? restarted.stop() : restarted.kill());
          await sleep(options.leaseMs * random());
          await restarted.start();
          changingServer = false;
        },
      });
    }
  };

  const failover = async (): Promise<void> => {
    if (standby === null || options.failoverAt == null) return;
    await sleep(options.seconds * 1000 * options.failoverAt);
    while (changingServer) await sleep(50);
    changingServer = true;
    if (stopped()) return;
    // Fencing first: the old primary answers nothing any more when the new one begins to accept writes.
    await server.kill();
    await standby.promote();
    server = standby;
    for (const sidecar of sidecars) {
      sidecar.queries.retarget(portOf(standby));
      sidecar.listen.retarget(portOf(standby));
    }
    failedOver = true;
    changingServer = false;
    counts['synchronous standby promoted'] = 1;
  };

  try {
    await mint();
    const work = Promise.all([
      injector(),
      injector(),
      failover(),
      ...Array.from({ length: REVOKERS }, revoker),
      ...sidecars.flatMap((sidecar) => Array.from({ length: ASKERS_PER_SIDECAR }, () => asker(sidecar))),
    ]);
    const deadline = Promise.race([work, sleep(options.seconds * 1000)]);
    await deadline;
    over = true;
    await work;
  } finally {
    over = true;
    await Promise.all(sidecars.map((sidecar) => sidecar.close()));
  }
  return {
    history,
    faults: counts,
    commitsCut: sidecars.reduce((sum, sidecar) => sum + sidecar.queries.commitsCut, 0),
    confirmationMs: confirmationMs.sort((a, b) => a - b),
    failedOver,
  };
}
