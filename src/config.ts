import { isLocal, type ListenAddress } from './config/listen-address.js';
import type { Setting, SettingValue } from './config/setting.js';
import { SETTINGS } from './config/settings.js';
import { shapeOf } from './config/shape-of.js';
import { unknownVariables } from './config/unknown-variables.js';

export type { ListenAddress } from './config/listen-address.js';

/** PostgreSQL of one's own, or the embedded one. */
export type DatabaseConfig =
  | { readonly kind: 'embedded'; readonly dataDir: string }
  | { readonly kind: 'url'; readonly url: string; readonly listenUrl: string };

/** Files of TLS and mTLS, reloaded when they change. */
export interface TlsConfig {
  readonly certFile: string;
  readonly keyFile: string;
  /** Present: clients must show a certificate signed by it. */
  readonly clientCaFile: string | null;
}

/** How a browser session is verified. */
export type SessionConfig =
  | { readonly mode: 'dev' }
  | { readonly mode: 'table'; readonly cookie: string }
  | {
      readonly mode: 'jwt';
      readonly cookie: string;
      readonly issuer: string;
      readonly audience: string;
      readonly clockToleranceSeconds: number;
      readonly key:
        | { readonly kind: 'jwks'; readonly url: string }
        | { readonly kind: 'public-key'; readonly file: string; readonly algorithm: string }
        | { readonly kind: 'hs256'; readonly secret: string };
    };

/** What to do without a lease and without a database. */
export type DatabaseLossPolicy =
  | { readonly kind: 'deny' }
  | { readonly kind: 'serve-cached'; readonly seconds: number };

/** What is exported to a collector of OpenTelemetry. */
export interface TelemetryConfig {
  readonly serviceName: string;
  readonly resourceAttributes: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly traces: { readonly url: string; readonly sampler: Values['tracesSampler']; readonly ratio: number } | null;
  readonly metrics: { readonly url: string; readonly intervalMs: number } | null;
}

/** Everything that can be set, parsed once. Frozen. */
export interface Config {
  readonly database: DatabaseConfig;
  readonly poolSize: number;
  readonly grpcAddresses: readonly ListenAddress[];
  /** `null`: off. */
  readonly adminAddress: ListenAddress | null;
  /** SAN (DNS or URI, e.g. SPIFFE) of clients that may use the admin listener with mTLS. */
  readonly adminClients: readonly string[];
  readonly httpAddress: ListenAddress | null;
  readonly metricsAddress: ListenAddress | null;
  readonly tls: TlsConfig | null;
  readonly leaseMs: number;
  readonly cacheMaxKeys: number;
  readonly onDatabaseLoss: DatabaseLossPolicy;
  readonly workers: number;
  readonly session: SessionConfig;
  /** Origins besides the adapter's own that may call REST from a browser. */
  readonly allowedOrigins: readonly string[];
  /** `null`: the built-in catalogue. */
  readonly methodsFile: string | null;
  readonly routesFile: string | null;
  /** Whether `X-Latchkey-Method` and `X-Latchkey-Workflow` may name the method and the workflow. */
  readonly trustMethodHeaders: boolean;
  readonly workflowOwnership: 'enforce' | 'trust';
  readonly maxActiveKeys: number;
  readonly keyCreationsPerMinute: number;
  readonly usageFlushMs: number;
  readonly drainMs: number;
  /** Secrets of keyed tags, newest first; empty: keys carry no tag. */
  readonly keyTagSecrets: readonly string[];
  /** Refuse keys without a valid tag. */
  readonly keyTagRequired: boolean;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  /** `null`: nothing is exported. */
  readonly telemetry: TelemetryConfig | null;
}

/** What a command needs that serves nobody: everything but how sessions are verified. */
export type CommandConfig = Omit<Config, 'session'>;

/** One thing that is wrong with the configuration. */
export interface ConfigProblem {
  readonly variable: string;
  /** What was found: the shape of the value, never a secret itself. */
  readonly given: string;
  /** What would have been right. */
  readonly allowed: string;
}

/** A configuration, or everything that is wrong with it. */
export type ParsedConfig<C> = { readonly config: C } | { readonly problems: readonly ConfigProblem[] };

/** Environment variables, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the configuration of `latchkey serve`: every variable, the rules between them, and any `LATCHKEY_` variable
 * that does not exist. Pure: opens no file and resolves no name.
 */
export function parseConfig(env: Environment): ParsedConfig<Config> {
  const reading = new Reading(env);
  const common = commonConfig(reading);
  const session = sessionConfig(reading, common.database, common.httpAddress);
  if (session === undefined || reading.problems.length > 0) return { problems: reading.problems };
  return { config: Object.freeze({ ...common, session }) };
}

/**
 * Reads the configuration of any other command. As {@link parseConfig}, but the session settings may be missing, for a
 * migration job has no use for them.
 */
export function parseCommandConfig(env: Environment): ParsedConfig<CommandConfig> {
  const reading = new Reading(env);
  const config = commonConfig(reading);
  return reading.problems.length > 0 ? { problems: reading.problems } : { config: Object.freeze(config) };
}

/** One problem as a sentence for a terminal. */
export function describeProblem({ variable, given, allowed }: ConfigProblem): string {
  return `${variable} ${given}; it must be ${allowed}`;
}

type Values = { readonly [K in keyof typeof SETTINGS]: SettingValue<(typeof SETTINGS)[K]> };

/** Every value that could be read, and every problem found so far. */
class Reading {
  readonly problems: ConfigProblem[] = [];
  /** Where a value was refused, a stand-in stands here: the problem ends the start, and rules can go on being checked. */
  readonly values: Values;
  private readonly refused = new Set<string>();

  constructor(private readonly env: Environment) {
    const values = Object.entries(SETTINGS).map(([name, setting]) => [name, this.read(setting)]);
    this.values = Object.fromEntries(values) as Values;
    for (const problem of unknownVariables(env)) this.problems.push(problem);
  }

  /** Reports a broken rule between settings, unless one of them was refused already. */
  rule(
    broken: boolean,
    setting: Setting<unknown>,
    given: string,
    allowed: string,
    others: Setting<unknown>[] = [],
  ): void {
    if (!broken || [setting, ...others].some(({ variable }) => this.refused.has(variable))) return;
    this.problems.push({ variable: setting.variable, given, allowed });
  }

  isSet(setting: Setting<unknown>): boolean {
    return this.env[setting.variable] !== undefined;
  }

  private read(setting: Setting<unknown>): unknown {
    const raw = this.env[setting.variable];
    const isUnset = raw === undefined || (raw === '' && setting.emptyMeans === 'unset');
    if (isUnset) return setting.default === undefined ? null : setting.kind.parse(setting.default);
    if (raw === '' && setting.emptyMeans !== undefined) return null;
    const value = raw === '' ? undefined : setting.kind.parse(raw);
    if (value !== undefined) return value;
    this.refused.add(setting.variable);
    const empty = setting.emptyMeans === undefined ? '' : `, or empty for ${setting.emptyMeans}`;
    const { variable } = setting;
    this.problems.push({
      variable,
      given: shapeOf(raw, setting.secret === true),
      allowed: setting.kind.allowed + empty,
    });
    return setting.default === undefined ? null : setting.kind.parse(setting.default);
  }
}

function commonConfig(reading: Reading): CommandConfig {
  const { values } = reading;
  const tls = tlsConfig(reading);
  const { adminAddress } = values;
  reading.rule(
    adminAddress !== null && !isLocal(adminAddress) && (tls?.clientCaFile ?? null) === null,
    SETTINGS.adminAddress,
    'is reachable from other machines without client certificates',
    'on loopback or unix:, or have LATCHKEY_TLS_CERT, LATCHKEY_TLS_KEY and LATCHKEY_TLS_CLIENT_CA set',
    [SETTINGS.tlsCert, SETTINGS.tlsKey, SETTINGS.tlsClientCa],
  );
  reading.rule(
    adminAddress !== null && !isLocal(adminAddress) && values.adminClients === null,
    SETTINGS.adminClients,
    'is unset, though LATCHKEY_ADMIN_ADDRESS is reachable from other machines',
    'the names of the clients that may mint keys',
    [SETTINGS.adminAddress],
  );
  reading.rule(
    values.adminClients !== null && values.tlsClientCa === null,
    SETTINGS.adminClients,
    'is set, but nothing verifies client certificates',
    'used together with LATCHKEY_TLS_CLIENT_CA',
    [SETTINGS.tlsClientCa],
  );
  reading.rule(
    values.keyTagRequired && values.keyTagSecrets === null,
    SETTINGS.keyTagRequired,
    'is true, but there is no secret to verify tags with',
    'used together with LATCHKEY_KEY_TAG_SECRETS',
    [SETTINGS.keyTagSecrets],
  );
  sharedAddresses(reading);
  return {
    database: databaseConfig(reading),
    poolSize: values.poolSize,
    grpcAddresses: values.grpcAddresses,
    adminAddress,
    adminClients: values.adminClients ?? [],
    httpAddress: values.httpAddress,
    metricsAddress: values.metricsAddress,
    tls,
    leaseMs: values.leaseMs,
    cacheMaxKeys: values.cacheMaxKeys,
    onDatabaseLoss: values.onDatabaseLoss,
    workers: values.workers,
    allowedOrigins: values.allowedOrigins ?? [],
    methodsFile: values.methodsFile,
    routesFile: values.routesFile,
    trustMethodHeaders: values.trustMethodHeaders,
    workflowOwnership: values.workflowOwnership,
    maxActiveKeys: values.maxActiveKeys,
    keyCreationsPerMinute: values.keyCreationsPerMinute,
    usageFlushMs: values.usageFlushMs,
    drainMs: values.drainMs,
    keyTagSecrets: values.keyTagSecrets ?? [],
    keyTagRequired: values.keyTagRequired,
    logLevel: values.logLevel,
    telemetry: telemetryConfig(values),
  };
}

function telemetryConfig(values: Values): TelemetryConfig | null {
  const under = (path: string) => values.otlpEndpoint && `${values.otlpEndpoint.replace(/\/$/, '')}/v1/${path}`;
  const tracesUrl = values.tracesExporter === 'otlp' ? (values.otlpTracesEndpoint ?? under('traces')) : null;
  const metricsUrl = values.metricsExporter === 'otlp' ? (values.otlpMetricsEndpoint ?? under('metrics')) : null;
  if (values.telemetryDisabled || (tracesUrl === null && metricsUrl === null)) return null;
  return Object.freeze({
    serviceName: values.serviceName,
    resourceAttributes: values.resourceAttributes ?? {},
    headers: values.otlpHeaders ?? {},
    traces:
      tracesUrl === null ? null : { url: tracesUrl, sampler: values.tracesSampler, ratio: values.tracesSamplerArg },
    metrics: metricsUrl === null ? null : { url: metricsUrl, intervalMs: values.metricExportIntervalMs },
  });
}

function databaseConfig(reading: Reading): DatabaseConfig {
  const { databaseUrl, listenDatabaseUrl, dataDir } = reading.values;
  reading.rule(
    databaseUrl === null && listenDatabaseUrl !== null,
    SETTINGS.listenDatabaseUrl,
    'is set without DATABASE_URL',
    'a second way to the database in DATABASE_URL',
    [SETTINGS.databaseUrl],
  );
  return databaseUrl === null
    ? Object.freeze({ kind: 'embedded', dataDir })
    : Object.freeze({ kind: 'url', url: databaseUrl, listenUrl: listenDatabaseUrl ?? databaseUrl });
}

function tlsConfig(reading: Reading): TlsConfig | null {
  const { tlsCert, tlsKey, tlsClientCa } = reading.values;
  reading.rule(
    tlsCert !== null && tlsKey === null,
    SETTINGS.tlsKey,
    'is unset, though LATCHKEY_TLS_CERT is set',
    "the path of that certificate's private key",
  );
  reading.rule(
    tlsKey !== null && tlsCert === null,
    SETTINGS.tlsCert,
    'is unset, though LATCHKEY_TLS_KEY is set',
    "the path of that key's certificate",
  );
  reading.rule(
    tlsClientCa !== null && tlsCert === null && tlsKey === null,
    SETTINGS.tlsClientCa,
    'is set without TLS',
    'used together with LATCHKEY_TLS_CERT and LATCHKEY_TLS_KEY',
    [SETTINGS.tlsCert, SETTINGS.tlsKey],
  );
  if (tlsCert === null || tlsKey === null) return null;
  return Object.freeze({ certFile: tlsCert, keyFile: tlsKey, clientCaFile: tlsClientCa });
}

/** Two listeners cannot have one address; port 0 asks for any free one. */
function sharedAddresses(reading: Reading): void {
  const { grpcAddresses, adminAddress, httpAddress, metricsAddress } = reading.values;
  const owners = new Map<string, string>();
  const listeners: readonly (readonly [Setting<unknown>, ListenAddress | null])[] = [
    ...grpcAddresses.map((each) => [SETTINGS.grpcAddresses, each] as const),
    [SETTINGS.adminAddress, adminAddress],
    [SETTINGS.httpAddress, httpAddress],
    [SETTINGS.metricsAddress, metricsAddress],
  ];
  for (const [setting, each] of listeners) {
    if (each === null || (each.kind === 'tcp' && each.port === 0)) continue;
    const owner = owners.get(each.text);
    reading.rule(owner !== undefined, setting, `is ${each.text}, as is ${owner}`, 'an address of its own');
    owners.set(each.text, setting.variable);
  }
}

function sessionConfig(
  reading: Reading,
  database: DatabaseConfig,
  httpAddress: ListenAddress | null,
): SessionConfig | undefined {
  const { values } = reading;
  const mode = values.sessionMode ?? (database.kind === 'embedded' ? 'dev' : null);
  const jwtOnly = [
    SETTINGS.jwtIssuer,
    SETTINGS.jwtAudience,
    SETTINGS.jwtJwksUrl,
    SETTINGS.jwtPublicKeyFile,
    SETTINGS.jwtHs256Secret,
    SETTINGS.jwtAlgorithm,
    SETTINGS.jwtClockToleranceSeconds,
  ];
  if (mode !== 'jwt' && mode !== null) {
    for (const setting of jwtOnly) {
      reading.rule(
        reading.isSet(setting),
        setting,
        `is set, but the session mode is ${mode}`,
        'unset, or the mode jwt',
        [SETTINGS.sessionMode],
      );
    }
  }
  switch (mode) {
    case null:
      reading.rule(
        true,
        SETTINGS.sessionMode,
        'is unset, though DATABASE_URL is set',
        'table or jwt: how the platform proves who is signed in',
        [SETTINGS.databaseUrl],
      );
      return undefined;
    case 'dev':
      reading.rule(
        database.kind === 'url',
        SETTINGS.sessionMode,
        'is dev, which believes any cookie, though DATABASE_URL is set',
        'table or jwt',
      );
      reading.rule(
        httpAddress !== null && !isLocal(httpAddress),
        SETTINGS.httpAddress,
        'is reachable from other machines in session mode dev, which believes any cookie',
        'on loopback or unix:, or be used with session mode table or jwt',
        [SETTINGS.sessionMode],
      );
      return Object.freeze({ mode });
    case 'table':
      return Object.freeze({ mode, cookie: values.sessionCookie });
    case 'jwt':
      return jwtConfig(reading);
  }
}

function jwtConfig(reading: Reading): SessionConfig | undefined {
  const { values } = reading;
  const { jwtIssuer: issuer, jwtAudience: audience } = values;
  for (const [setting, value] of [
    [SETTINGS.jwtIssuer, issuer],
    [SETTINGS.jwtAudience, audience],
  ] as const) {
    reading.rule(value === null, setting, 'is unset in session mode jwt', setting.kind.allowed);
  }
  const sources = [SETTINGS.jwtJwksUrl, SETTINGS.jwtPublicKeyFile, SETTINGS.jwtHs256Secret];
  const chosen = sources.filter((setting) => reading.isSet(setting));
  const names = sources.map(({ variable }) => variable).join(', ');
  reading.rule(
    chosen.length !== 1,
    chosen[1] ?? SETTINGS.jwtJwksUrl,
    chosen.length === 0 ? 'is unset, and nothing else verifies tokens' : `is set besides ${chosen[0]?.variable}`,
    `the only one that is set of ${names}`,
  );
  reading.rule(
    reading.isSet(SETTINGS.jwtAlgorithm) && values.jwtPublicKeyFile === null,
    SETTINGS.jwtAlgorithm,
    'is set without a public key',
    'used together with LATCHKEY_JWT_PUBLIC_KEY_FILE',
    [SETTINGS.jwtPublicKeyFile],
  );
  const key = jwtKey(values);
  if (issuer === null || audience === null || key === undefined) return undefined;
  return Object.freeze({
    mode: 'jwt',
    cookie: values.sessionCookie,
    issuer,
    audience,
    clockToleranceSeconds: values.jwtClockToleranceSeconds,
    key,
  });
}

function jwtKey(values: Values): Extract<SessionConfig, { mode: 'jwt' }>['key'] | undefined {
  if (values.jwtJwksUrl !== null) return Object.freeze({ kind: 'jwks', url: values.jwtJwksUrl });
  if (values.jwtPublicKeyFile !== null) {
    return Object.freeze({ kind: 'public-key', file: values.jwtPublicKeyFile, algorithm: values.jwtAlgorithm });
  }
  if (values.jwtHs256Secret !== null) return Object.freeze({ kind: 'hs256', secret: values.jwtHs256Secret });
  return undefined;
}
