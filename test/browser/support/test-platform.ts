import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { Failure } from '../../../src/domain/failure.js';
import { ALL_PERMISSIONS, type PermissionSet } from '../../../src/domain/permissions.js';
import { hashRawKey, keyPrefixOf, mintRawKey } from '../../../src/domain/raw-key.js';
import { systemClock } from '../../../src/observability/system-clock.js';
import type { Barrier, Receipt } from '../../../src/ports/barrier.js';
import type { Clock } from '../../../src/ports/clock.js';
import type {
  Actor,
  KeyDetails,
  KeyListQuery,
  KeyPage,
  NewKey,
  RotatedKey,
  WorkflowSummary,
} from '../../../src/ports/key-registry.js';
import { silentLogger } from '../../../src/ports/logger.js';
import { KeyService } from '../../../src/service/keys.js';
import { MemoryKeyRegistry } from '../../../src/store/memory-key-registry.js';
import { createHttpApp } from '../../../src/transport/http/app.js';
import { settingsPage } from '../../../src/transport/http/settings/settings-page.js';
import { RecordingMetrics } from '../../support/fakes/recording-metrics.js';

const ACTOR: Actor = { name: 'test', origin: null };

/** A key to have been made in the past. */
export interface SeededKey {
  readonly name: string;
  readonly ageMs?: number;
  readonly workflowId?: string | null;
  readonly permissions?: PermissionSet;
  readonly expiresInMs?: number | null;
  readonly usedMsAgo?: number | null;
  readonly revoked?: boolean;
}

/** What goes wrong next on the platform's side. */
export type Trouble = 'none' | 'outage' | 'unconfirmed';

/**
 * The real HTTP adapter and the real page over a registry in memory, whose session, clock, workflows and troubles a
 * test sets as it goes.
 */
export class TestPlatform {
  signedIn = true;
  /** The account that signs in. */
  account = 'account-1';
  trouble: Trouble = 'none';
  workflows: WorkflowSummary[] = [];
  receipt: Pick<Receipt, 'confirmedInMs' | 'sidecars'> = {
    confirmedInMs: 4.2,
    sidecars: { acknowledged: 3, expired: 0 },
  };
  private offsetMs = 0;
  private readonly usedAtMs = new Map<string, number>();
  private readonly clock: Clock = {
    monotonicMs: () => systemClock.monotonicMs(),
    wallMs: () => systemClock.wallMs() + this.offsetMs,
  };
  private readonly registry: MemoryKeyRegistry;
  private readonly app: FastifyInstance;

  private constructor(maxActiveKeys: number, creationsPerMinute: number) {
    this.registry = new PlatformRegistry(this.clock, this.usedAtMs, this);
    const keys = new KeyService({
      registry: this.registry,
      barrier: this.barrier(),
      logger: silentLogger,
      mintRawKey,
      maxActiveKeys,
    });
    this.app = createHttpApp({
      keys,
      sessions: { authenticate: () => Promise.resolve(this.signedIn ? { accountId: this.account } : null) },
      session: { mode: 'table', cookie: 'session' },
      metrics: new RecordingMetrics(),
      logger: silentLogger,
      clock: this.clock,
      allowedOrigins: [],
      keyCreationsPerMinute: creationsPerMinute,
      plugins: [settingsPage],
    });
  }

  static async start({ maxActiveKeys = 100, creationsPerMinute = 1000 } = {}): Promise<TestPlatform> {
    const platform = new TestPlatform(maxActiveKeys, creationsPerMinute);
    await platform.app.listen({ host: '127.0.0.1', port: 0 });
    return platform;
  }

  /** Address of the page. */
  get url(): string {
    return `http://127.0.0.1:${(this.app.server.address() as AddressInfo).port}/settings/developer`;
  }

  stop(): Promise<void> {
    return this.app.close();
  }

  /** Makes keys; give the oldest first. */
  async seed(keys: readonly SeededKey[]): Promise<KeyDetails[]> {
    const seeded: KeyDetails[] = [];
    for (const key of keys) seeded.push(await this.seedOne(key));
    this.offsetMs = 0;
    return seeded;
  }

  /** Revokes as another tab or an operator would. */
  async revokeElsewhere(id: string): Promise<void> {
    await this.registry.revoke(id, this.account, ACTOR);
  }

  async keys(): Promise<readonly KeyDetails[]> {
    const page = await this.registry.list({ accountId: this.account, includeRevoked: true, limit: 1000, after: null });
    return page.keys;
  }

  private async seedOne(key: SeededKey): Promise<KeyDetails> {
    this.offsetMs = -(key.ageMs ?? 0);
    const rawKey = mintRawKey();
    const created = await this.registry.create(
      {
        accountId: this.account,
        name: key.name,
        keyHash: hashRawKey(rawKey),
        keyPrefix: keyPrefixOf(rawKey),
        workflowId: key.workflowId ?? null,
        permissions: key.permissions ?? ALL_PERMISSIONS,
        expiresAtMs: key.expiresInMs == null ? null : systemClock.wallMs() + key.expiresInMs,
      },
      ACTOR,
      Number.POSITIVE_INFINITY,
    );
    if (key.usedMsAgo != null) this.usedAtMs.set(created.id, systemClock.wallMs() - key.usedMsAgo);
    if (key.revoked === true) await this.registry.revoke(created.id, this.account, ACTOR);
    return created;
  }

  private barrier(): Barrier {
    return {
      confirm: async ({ committedAtMs }) => {
        if (this.trouble === 'unconfirmed') throw new Failure('unconfirmed', 'not proven');
        return { sequence: 7n, committedAtMs, slowestAckMs: 3.9, ...this.receipt };
      },
      settle: async () => true,
    };
  }
}

class PlatformRegistry extends MemoryKeyRegistry {
  constructor(
    clock: Clock,
    private readonly usedAtMs: ReadonlyMap<string, number>,
    private readonly platform: TestPlatform,
  ) {
    super(clock);
  }

  override async create(key: NewKey, actor: Actor, maxActive: number): Promise<KeyDetails> {
    this.fail();
    const { workflowId } = key;
    if (actor !== ACTOR && workflowId !== null && !this.platform.workflows.some(({ id }) => id === workflowId)) {
      throw new Failure('not-found', 'There is no such workflow.');
    }
    const created = await super.create({ ...key, workflowId: null }, actor, maxActive);
    this.scopes.set(created.id, workflowId);
    return { ...created, workflowId };
  }

  override async rotate(...call: Parameters<MemoryKeyRegistry['rotate']>): Promise<RotatedKey> {
    const rotated = await super.rotate(...call);
    const workflowId = this.scopes.get(rotated.old.id) ?? null;
    this.scopes.set(rotated.replacement.id, workflowId);
    return { ...rotated, replacement: { ...rotated.replacement, workflowId } };
  }

  override async list(query: KeyListQuery): Promise<KeyPage> {
    this.fail();
    const page = await super.list(query);
    return {
      ...page,
      keys: page.keys.map((key) => ({
        ...key,
        workflowId: this.scopes.get(key.id) ?? null,
        lastUsedAtMs: this.usedAtMs.get(key.id) ?? null,
      })),
    };
  }

  override async workflows(): Promise<readonly WorkflowSummary[]> {
    this.fail();
    return [...this.platform.workflows];
  }

  private readonly scopes = new Map<string, string | null>();

  private fail(): void {
    if (this.platform.trouble === 'outage')
      throw new Failure('unavailable', 'The database cannot be reached; try again.');
  }
}
