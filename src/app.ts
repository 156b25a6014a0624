import { randomUUID, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { FastifyInstance } from 'fastify';
import { AggregatorRegistry, Registry } from 'prom-client';
import { Invalidation } from './coherence/invalidation.js';
import { LeaseDriver } from './coherence/lease-driver.js';
import { RevocationBarrier } from './coherence/revocation-barrier.js';
import { ListenFailure } from './config/listen-failure.js';
import type { Setting } from './config/setting.js';
import { SETTINGS } from './config/settings.js';
import type { Config, ListenAddress, TlsConfig } from './config.js';
import { defaultCatalogue } from './domain/default-catalogue.js';
import { KeyTags } from './domain/key-tag.js';
import { type MethodCatalogue, parseCatalogue } from './domain/method-catalogue.js';
import { mintRawKey } from './domain/raw-key.js';
import { CleanupStack } from './lifecycle.js';
import { PrometheusMetrics } from './observability/prometheus-metrics.js';
import { systemClock } from './observability/system-clock.js';
import { systemTimers } from './observability/system-timers.js';
import type { BulkSource } from './ports/bulk-source.js';
import type { CacheControl } from './ports/cache-control.js';
import type { Logger } from './ports/logger.js';
import type { Metrics, ReloadOutcome } from './ports/metrics.js';
import { ALL_PROTECTIONS, type Protections } from './ports/protections.js';
import type { SessionSource } from './ports/session-source.js';
import type { Tracing } from './ports/tracing.js';
import { whenAborted } from './ports/when-aborted.js';
import { within } from './ports/within.js';
import { AppKeyService } from './service/app-keys.js';
import { createAuthorizer } from './service/authorize.js';
import type { Authorizer } from './service/authorizer.js';
import { KeyService } from './service/keys.js';
import { type Component, Readiness } from './service/readiness.js';
import { CoalescingUsageRecorder } from './service/usage-recorder.js';
import { WatchRevocations } from './service/watch-revocations.js';
import { BatchedReads } from './store/batched-reads.js';
import { CachedKeyStore } from './store/cached-key-store.js';
import { CachedWorkflowStore } from './store/cached-workflow-store.js';
import { startEmbeddedPostgres } from './store/embedded/embedded-postgres.js';
import { seedWorkflows } from './store/embedded/seed.js';
import { ObservedSource } from './store/observed-source.js';
import { EventPruning } from './store/postgres/event-pruning.js';
import { assertSchemaKnown, migrate } from './store/postgres/migrate.js';
import { createPool } from './store/postgres/pool.js';
import { PostgresChangeFeed } from './store/postgres/postgres-change-feed.js';
import { PostgresHistory } from './store/postgres/postgres-history.js';
import { PostgresKeyRegistry } from './store/postgres/postgres-key-registry.js';
import { PostgresKeySource } from './store/postgres/postgres-key-source.js';
import { PostgresRevocationLog } from './store/postgres/postgres-revocation-log.js';
import { PostgresSessionSource } from './store/postgres/postgres-session-source.js';
import { PostgresUsageSink } from './store/postgres/postgres-usage-sink.js';
import { PostgresWorkflowSource } from './store/postgres/postgres-workflow-source.js';
import { QueryRunner } from './store/postgres/run-query.js';
import { workflowsRaiseEvents } from './store/postgres/workflows-raise-events.js';
import type { ExtractionRules } from './transport/extract.js';
import { appKeyService } from './transport/grpc/app-key-service.js';
import { authorizationService } from './transport/grpc/authorization-service.js';
import { extAuthzService } from './transport/grpc/ext-authz-service.js';
import type { GrpcService } from './transport/grpc/grpc-service.js';
import { createGrpcServer } from './transport/grpc/server.js';
import { tlsServerCredentials } from './transport/grpc/tls-credentials.js';
import { createHttpApp } from './transport/http/app.js';
import { forwardAuth } from './transport/http/forward-auth.js';
import { HttpListener } from './transport/http/http-listener.js';
import { createMetricsApp } from './transport/http/metrics-app.js';
import { createSessions } from './transport/http/sessions/create-sessions.js';
import { settingsPage } from './transport/http/settings/settings-page.js';
import { httpTls } from './transport/http/tls-options.js';
import { RoutesWatcher } from './transport/routes-watcher.js';
import { type TlsFiles, watchTlsFiles } from './transport/tls-files.js';

/** What the process tells the application about itself, and what tests replace. */
export interface AppParts {
  readonly logger: Logger;
  /** Of the program and of Node.js, for `latchkey_build_info`. */
  readonly version: string;
  readonly nodeVersion: string;
  /** Metrics of other processes, to be shown as one with this one's; see `App.metricsSnapshot`. */
  readonly otherMetrics?: () => Promise<readonly MetricsSnapshot[]>;
  /**
   * Present where other processes serve gRPC in place of this one: is given what tells whether any of them does, which
   * readiness then follows.
   */
  readonly grpcElsewhere?: (mark: (serving: boolean) => void) => void;
  /** Tests only: rules of the protocol to leave out, to show that they matter. Nothing in the configuration sets it. */
  readonly protections?: Protections;
}

/** Every metric of one process, as data that can be sent to another. */
export type MetricsSnapshot = readonly object[];

/** Where a started application can be reached, with the ports that were bound. */
export interface AppAddresses {
  readonly grpc: readonly string[];
  readonly admin: string | null;
  /** Base URL. */
  readonly http: string | null;
  /** Base URL. */
  readonly metrics: string | null;
  /** Connection URL of the database in use; of the embedded one too. */
  readonly databaseUrl: string;
}

/** The whole sidecar. */
export interface App {
  /** Resolves when every listener is bound and the process takes traffic. Rejects, with everything undone, otherwise. */
  start(): Promise<AppAddresses>;
  /**
   * Stops gracefully: not ready, no new calls, running calls end, the lease is given up, "last used" is written,
   * connections close; after `drainMs` by force. Idempotent. Rejects after trying everything if something failed.
   */
  stop(): Promise<void>;
  /** The metrics now. Rejects before `start`. */
  metricsSnapshot(): Promise<MetricsSnapshot>;
  /** Ends patience: what `stop` is still waiting for is torn down now. */
  forceStop(): void;
}

/** Connections of the coherence protocol: renewals, history reads and acknowledgements never wait for queries. */
const COHERENCE_CONNECTIONS = 3;
/** How long a start waits for the first lease, ms. Without one the sidecar works all the same, from the database. */
const FIRST_LEASE_PATIENCE_MS = 5_000;
/** Most events applied one by one; a sidecar that is further behind starts over. */
const HISTORY_READ_LIMIT = 50_000;

/** Builds the sidecar. Nothing is opened before `start`. */
export function createApp(config: Config, parts: AppParts): App {
  const stack = new CleanupStack(systemTimers);
  const registry = new Registry();
  return {
    start: () => stack.guard(config.drainMs, () => start(config, parts, registry, stack)),
    metricsSnapshot: () => registry.getMetricsAsJSON(),
    stop: () => stack.unwind(config.drainMs),
    forceStop: () => stack.forceNow(),
  };
}

/** What every part below may use. */
interface Foundation {
  readonly config: Config;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly registry: Registry;
  readonly stack: CleanupStack;
  readonly readiness: Readiness;
  readonly protections: Protections;
  /** Certificates, kept current; `null`: plain text. */
  readonly tls: TlsFiles | null;
  /** `null`: off. */
  readonly tracing: Tracing | null;
}

async function start(config: Config, parts: AppParts, registry: Registry, stack: CleanupStack): Promise<AppAddresses> {
  const metrics = new PrometheusMetrics(registry, { version: parts.version, node: parts.nodeVersion });
  metrics.leaseLength(config.leaseMs / 1000);
  const components: Component[] = ['database', 'lease', 'grpc', 'http'];
  const readiness = new Readiness(components);
  const protections = parts.protections ?? ALL_PROTECTIONS;
  const { logger } = parts;

  // Read first: a mistake in a file should not have to wait for a database.
  const tls = config.tls === null ? null : await startTlsFiles(config.tls, logger, metrics);
  stack.defer('TLS files', () => tls?.stop());
  const tracing = await startTracing(config, parts, registry, stack);
  const base: Foundation = { config, logger, metrics, registry, stack, readiness, protections, tls, tracing };
  const catalogue = await loadCatalogue(config);
  const metricsUrl = await startMetrics(base, parts.otherMetrics ?? null);
  const database = await connectDatabase(config, logger, metrics, stack);
  readiness.mark('database', true);
  const core = await startCore(base, database, catalogue);
  const rules = await startRoutes(base, catalogue);
  const { grpc, admin } = await startGrpc(base, core, rules);
  if (parts.grpcElsewhere) parts.grpcElsewhere((serving) => readiness.mark('grpc', serving));
  else readiness.mark('grpc', true);
  const http = await startHttp(base, core, rules);
  // Unwound first: whoever routes traffic here learns of the end before anything closes.
  stack.defer('readiness', () => readiness.drain());
  return { grpc, admin, http, metrics: metricsUrl, databaseUrl: database.url };
}

/** Starts what is exported, if anything is. Its packages are loaded only then: most installations never do. */
async function startTracing(
  { telemetry }: Config,
  { version, logger }: AppParts,
  registry: Registry,
  stack: CleanupStack,
): Promise<Tracing | null> {
  if (telemetry === null) return null;
  const { startTelemetry } = await import('./observability/telemetry.js');
  const started = startTelemetry(telemetry, { version, registry, clock: systemClock, timers: systemTimers, logger });
  stack.defer('telemetry', () => started.stop());
  return started.tracing;
}

async function startTlsFiles(files: TlsConfig, logger: Logger, metrics: Metrics): Promise<TlsFiles> {
  const onOutcome = (outcome: ReloadOutcome) => metrics.reload('tls', outcome);
  const tls = await watchTlsFiles(files, { timers: systemTimers, logger, onOutcome });
  metrics.watchCertificate(() => Date.parse(new X509Certificate(tls.current.cert).validTo));
  return tls;
}

async function loadCatalogue({ methodsFile }: Config): Promise<MethodCatalogue> {
  if (methodsFile === null) return defaultCatalogue();
  return parseCatalogue(await readFile(methodsFile, 'utf8'), methodsFile);
}

/** An open database: where it is, and how to run statements on it. */
interface OpenDatabase {
  readonly url: string;
  readonly listenUrl: string;
  readonly runner: QueryRunner;
  readonly coherenceRunner: QueryRunner;
}

/**
 * Opens the configured database, the embedded one with its schema and seed. Rejects when its schema does not fit this
 * program. Closed by unwinding the stack.
 */
async function connectDatabase(
  config: Config,
  logger: Logger,
  metrics: Metrics,
  stack: CleanupStack,
): Promise<OpenDatabase> {
  const { url, listenUrl } = await locateDatabase(config, logger, stack);
  const runnerOn = (name: string, size: number) => {
    const pool = createPool({ url, size, logger, applicationName: name });
    stack.defer(`${name} connections`, () => pool.end());
    if (name === 'latchkey') {
      metrics.watchPool(() => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }));
    }
    return new QueryRunner({ pool, clock: systemClock, timers: systemTimers, metrics, logger });
  };
  const runner = runnerOn('latchkey', config.poolSize);
  const coherenceRunner = runnerOn('latchkey-coherence', COHERENCE_CONNECTIONS);
  return { url, listenUrl, runner, coherenceRunner };
}

async function locateDatabase(
  { database }: Config,
  logger: Logger,
  stack: CleanupStack,
): Promise<{ readonly url: string; readonly listenUrl: string }> {
  if (database.kind === 'url') {
    await assertSchemaKnown(database.listenUrl);
    return database;
  }
  const embedded = await startEmbeddedPostgres({ dataDir: database.dataDir, logger, timers: systemTimers });
  stack.defer('embedded PostgreSQL', () => embedded.stop());
  await migrate({ url: embedded.url, logger });
  await seedWorkflows(embedded.url);
  return { url: embedded.url, listenUrl: embedded.url };
}

/** What the transports serve. */
interface Core {
  readonly authorizer: Authorizer;
  readonly keys: KeyService;
  readonly appKeys: AppKeyService;
  readonly watch: WatchRevocations;
  readonly sessionSource: SessionSource;
}

async function startCore(base: Foundation, database: OpenDatabase, catalogue: MethodCatalogue): Promise<Core> {
  const { config, logger, metrics, stack, protections } = base;
  const { runner, coherenceRunner } = database;
  const history = new PostgresHistory(coherenceRunner, logger);
  // The caches need the lease and the lease needs the caches: the lease learns of them by this list, before it starts.
  const controls: CacheControl[] = [];
  const lease = new LeaseDriver({
    options: {
      leaseMs: config.leaseMs,
      lossMs: config.onDatabaseLoss.kind === 'serve-cached' ? config.onDatabaseLoss.seconds * 1000 : 0,
      nextId: randomUUID,
      random: Math.random,
      readLimit: HISTORY_READ_LIMIT,
      protections,
    },
    history,
    caches: new Invalidation(controls),
    clock: systemClock,
    timers: systemTimers,
    metrics,
    logger,
  });

  const watch = new WatchRevocations({
    log: new PostgresRevocationLog(runner),
    lease,
    timers: systemTimers,
    metrics,
  });

  // Outermost first: memory under a lease, reads of one turn together, each statement measured, PostgreSQL.
  const observed = <K, V>(name: 'keys' | 'workflows', source: BulkSource<K, V>) =>
    new ObservedSource<K, V>(source, name, metrics, systemClock);
  const batched = <K, V>(name: 'keys' | 'workflows', source: BulkSource<K, V>) =>
    new BatchedReads<K, V>({ source: observed(name, source), name, metrics, timers: systemTimers });
  const keyStore = new CachedKeyStore(
    { reads: batched('keys', new PostgresKeySource(runner, logger)), lease, metrics, maxKeys: config.cacheMaxKeys },
    protections,
  );
  const workflowStore = new CachedWorkflowStore(
    {
      reads: batched('workflows', new PostgresWorkflowSource(runner, logger)),
      lease,
      metrics,
      maxWorkflows: config.cacheMaxKeys,
      ...((await workflowsRaiseEvents(runner)) ? {} : { maxAge: { ms: config.leaseMs, clock: systemClock } }),
    },
    protections,
  );
  controls.push(keyStore, workflowStore, watch);

  const usage = new CoalescingUsageRecorder(
    { sink: new PostgresUsageSink(runner), clock: systemClock, timers: systemTimers, metrics, logger },
    { flushMs: config.usageFlushMs },
  );
  usage.start();
  stack.defer('last-used times', () => usage.stop());

  const feed = new PostgresChangeFeed({
    url: database.listenUrl,
    clock: systemClock,
    timers: systemTimers,
    logger,
    metrics,
  });
  lease.start();
  stack.defer('lease', () => lease.stop());
  feed.start(() => lease.hint());
  stack.defer('change feed', () => feed.stop());
  const pruning = new EventPruning(runner, systemTimers, logger);
  pruning.start();
  stack.defer('event pruning', () => pruning.stop());

  const barrier = new RevocationBarrier({
    history,
    clock: systemClock,
    timers: systemTimers,
    metrics,
    logger,
    protections,
  });
  stack.defer('barrier', () => barrier.close());
  const registry = new PostgresKeyRegistry(runner);
  const tags = config.keyTagSecrets.length > 0 ? new KeyTags(config.keyTagSecrets) : null;
  const mint = tags === null ? mintRawKey : () => tags.mint();
  const authorizer = createAuthorizer({
    keys: keyStore,
    workflows: workflowStore,
    lease,
    catalogue,
    clock: systemClock,
    metrics,
    usage,
    enforceOwnership: config.workflowOwnership === 'enforce',
    requiredTags: config.keyTagRequired ? tags : null,
  });

  const leased = lease.leased.then(() => base.readiness.mark('lease', true));
  await within(systemTimers, FIRST_LEASE_PATIENCE_MS, leased, () => base.readiness.doWithout('lease'));
  return {
    authorizer,
    keys: new KeyService({ registry, barrier, logger, mintRawKey: mint, maxActiveKeys: config.maxActiveKeys }),
    appKeys: new AppKeyService({ registry, barrier, logger, mintRawKey: mint }),
    watch,
    sessionSource: new PostgresSessionSource(runner),
  };
}

async function startRoutes(
  { config, logger, metrics, stack }: Foundation,
  methods: MethodCatalogue,
): Promise<ExtractionRules> {
  const { routesFile, trustMethodHeaders } = config;
  if (routesFile === null) return { routes: null, trustMethodHeaders };
  const routes = await RoutesWatcher.start({
    file: routesFile,
    methods,
    timers: systemTimers,
    logger,
    onReload: (outcome) => metrics.reload('routes', outcome === 'loaded' ? 'reloaded' : 'refused'),
  });
  stack.defer('routes file', () => routes.stop());
  return { routes, trustMethodHeaders };
}

async function startGrpc(
  base: Foundation,
  core: Core,
  rules: ExtractionRules,
): Promise<{ readonly grpc: readonly string[]; readonly admin: string | null }> {
  const { config, logger, metrics, stack, readiness } = base;
  const credentials = base.tls === null ? null : tlsServerCredentials(base.tls);
  const serve = async (
    services: readonly GrpcService[],
    addresses: readonly ListenAddress[],
    name: string,
    setting: Setting<unknown>,
  ) => {
    const server = createGrpcServer({
      services,
      readiness,
      timers: systemTimers,
      logger,
      tls: credentials,
      tracing: base.tracing,
    });
    stack.defer(name, async (forced) => {
      whenAborted(forced, () => void server.drain(0));
      await server.drain(config.drainMs);
    });
    const bound: string[] = [];
    for (const address of addresses) bound.push(await ListenFailure.naming(setting, server.bind(address)));
    return bound;
  };
  const grpc = await serve(
    [
      authorizationService({ authorizer: core.authorizer, watch: core.watch, timers: systemTimers, metrics, logger }),
      extAuthzService({ authorizer: core.authorizer, rules, logger }),
    ],
    config.grpcAddresses,
    'gRPC listener',
    SETTINGS.grpcAddresses,
  );
  const admin =
    config.adminAddress === null
      ? []
      : await serve(
          [
            appKeyService({
              appKeys: core.appKeys,
              address: config.adminAddress,
              clients: config.adminClients,
              logger,
            }),
          ],
          [config.adminAddress],
          'admin listener',
          SETTINGS.adminAddress,
        );
  return { grpc, admin: admin[0] ?? null };
}

async function startHttp(base: Foundation, core: Core, rules: ExtractionRules): Promise<string | null> {
  const { config, logger, metrics, readiness } = base;
  if (config.httpAddress === null) {
    readiness.mark('http', true);
    return null;
  }
  const app = createHttpApp({
    keys: core.keys,
    sessions: await createSessions(config.session, { clock: systemClock, source: core.sessionSource }),
    session: config.session,
    metrics,
    logger,
    clock: systemClock,
    allowedOrigins: config.allowedOrigins,
    keyCreationsPerMinute: config.keyCreationsPerMinute,
    plugins: [forwardAuth({ authorizer: core.authorizer, rules, logger }), settingsPage],
    tracing: base.tracing,
    tls: httpTls(base.tls, true),
  });
  const url = await ListenFailure.naming(SETTINGS.httpAddress, listen(base, app, config.httpAddress, 'HTTP listener'));
  readiness.mark('http', true);
  return url;
}

async function startMetrics(
  base: Foundation,
  others: (() => Promise<readonly MetricsSnapshot[]>) | null,
): Promise<string | null> {
  const { config, registry, readiness } = base;
  if (config.metricsAddress === null) return null;
  const metricsText = async () => {
    const shown =
      others === null
        ? registry
        : AggregatorRegistry.aggregate([await registry.getMetricsAsJSON(), ...(await others())] as object[]);
    return { contentType: registry.contentType, body: await shown.metrics() };
  };
  const app = createMetricsApp({ metricsText, readiness, logger: base.logger, tls: httpTls(base.tls, false) });
  return await ListenFailure.naming(
    SETTINGS.metricsAddress,
    listen(base, app, config.metricsAddress, 'metrics listener'),
  );
}

/** Opens a listener, to be closed by unwinding the stack; resolves with its base URL. */
async function listen(base: Foundation, app: FastifyInstance, address: ListenAddress, name: string): Promise<string> {
  const listener = new HttpListener({ app, address, tls: base.tls });
  base.stack.defer(name, (forced) => listener.close(forced));
  const url = await listener.open();
  base.logger.info('HTTP is listening', { listener: name, address: url });
  return url;
}
