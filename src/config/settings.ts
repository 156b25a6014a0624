import type { DatabaseLossPolicy } from '../config.js';
import {
  address,
  boolean,
  cookieName,
  databaseUrl,
  integer,
  keySetUrl,
  list,
  oneOf,
  origin,
  path,
  text,
} from './kinds.js';
import type { Kind, Setting } from './setting.js';

/** Signature algorithms that a public key may be bound to. `none` and the symmetric ones are not among them. */
const PUBLIC_KEY_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;

/** Fewest characters of a secret: below it, guessing is cheaper than breaking SHA-256. */
const SECRET_MIN_LENGTH = 32;

const databaseLoss: Kind<DatabaseLossPolicy> = {
  allowed: 'deny, or serve-cached:<seconds> with 1 to 3600 seconds',
  parse(raw) {
    if (raw === 'deny') return Object.freeze({ kind: 'deny' });
    const match = /^serve-cached:(\d{1,4})$/.exec(raw);
    const seconds = Number(match?.[1]);
    return seconds >= 1 && seconds <= 3600 ? Object.freeze({ kind: 'serve-cached', seconds }) : undefined;
  },
};

/** Every setting there is. The order is that of the documentation. */
export const SETTINGS = {
  databaseUrl: {
    variable: 'DATABASE_URL',
    group: 'Database',
    kind: databaseUrl,
    unset: 'PostgreSQL embedded in `LATCHKEY_DATA_DIR`',
    about: 'Where queries go: the primary, never a replica. May be a pooler in transaction mode.',
    secret: true,
  },
  listenDatabaseUrl: {
    variable: 'LATCHKEY_LISTEN_DATABASE_URL',
    group: 'Database',
    kind: databaseUrl,
    unset: '`DATABASE_URL`',
    about: 'A direct connection for LISTEN and migrations, when `DATABASE_URL` is a pooler.',
    secret: true,
  },
  dataDir: {
    variable: 'LATCHKEY_DATA_DIR',
    group: 'Database',
    kind: path,
    default: '.latchkey',
    about: 'Where the embedded PostgreSQL keeps its data. Not used when `DATABASE_URL` is set.',
  },
  poolSize: {
    variable: 'LATCHKEY_POOL_SIZE',
    group: 'Database',
    kind: integer(2, 200),
    default: '10',
    about: 'Most connections to the database, for each worker. One more listens.',
  },
  grpcAddresses: {
    variable: 'LATCHKEY_GRPC_ADDRESS',
    group: 'Listeners',
    kind: list(address),
    default: '127.0.0.1:50051',
    about: 'Where `AuthorizationService`, `ext_authz`, health and reflection are served.',
  },
  adminAddress: {
    variable: 'LATCHKEY_ADMIN_ADDRESS',
    group: 'Listeners',
    kind: address,
    default: '127.0.0.1:50052',
    about:
      'Where `AppKeyService` is served. Beyond loopback or a unix socket only with mTLS and `LATCHKEY_ADMIN_CLIENTS`.',
    emptyMeans: 'off',
  },
  adminClients: {
    variable: 'LATCHKEY_ADMIN_CLIENTS',
    group: 'Listeners',
    kind: list(text('a DNS name or URI (such as a SPIFFE ID) of a client certificate')),
    unset: 'none',
    about:
      'Which client certificates may use `AppKeyService`, by subject alternative name. Needs `LATCHKEY_TLS_CLIENT_CA`.',
  },
  httpAddress: {
    variable: 'LATCHKEY_HTTP_ADDRESS',
    group: 'Listeners',
    kind: address,
    default: '127.0.0.1:8080',
    about: 'Where REST, the settings page and forward auth are served. Loopback only in session mode `dev`.',
    emptyMeans: 'off',
  },
  metricsAddress: {
    variable: 'LATCHKEY_METRICS_ADDRESS',
    group: 'Listeners',
    kind: address,
    default: '127.0.0.1:9464',
    about: 'Where `/metrics`, `/livez` and `/readyz` are served.',
    emptyMeans: 'off',
  },
  tlsCert: {
    variable: 'LATCHKEY_TLS_CERT',
    group: 'Listeners',
    kind: path,
    unset: 'no TLS',
    about: 'Certificate chain in PEM, with `LATCHKEY_TLS_KEY`. Read again when the file changes.',
  },
  tlsKey: {
    variable: 'LATCHKEY_TLS_KEY',
    group: 'Listeners',
    kind: path,
    unset: 'no TLS',
    about: 'Private key in PEM of `LATCHKEY_TLS_CERT`.',
  },
  tlsClientCa: {
    variable: 'LATCHKEY_TLS_CLIENT_CA',
    group: 'Listeners',
    kind: path,
    unset: 'no client certificates',
    about: 'Authority in PEM that must have signed the certificate of every client (mTLS).',
  },
  leaseMs: {
    variable: 'LATCHKEY_LEASE_MS',
    group: 'Decisions',
    kind: integer(300, 60_000),
    default: '3000',
    about:
      'How long a sidecar may answer from memory after one renewal, in ms. It is also the longest that a revocation waits for a sidecar that is stuck or gone.',
  },
  cacheMaxKeys: {
    variable: 'LATCHKEY_CACHE_MAX_KEYS',
    group: 'Decisions',
    kind: integer(1, 10_000_000),
    default: '100000',
    about: 'Most keys remembered, for each worker; about 400 bytes each.',
  },
  onDatabaseLoss: {
    variable: 'LATCHKEY_ON_DATABASE_LOSS',
    group: 'Decisions',
    kind: databaseLoss,
    default: 'deny',
    about:
      'Without a lease and without the database: refuse (`UNAVAILABLE`), or go on answering from memory for so many seconds. The latter makes every revocation wait as much longer for a sidecar that is out of reach.',
  },
  methodsFile: {
    variable: 'LATCHKEY_METHODS_FILE',
    group: 'Decisions',
    kind: path,
    unset: 'the built-in catalogue',
    about: 'A method catalogue in JSON that replaces the built-in one whole.',
  },
  routesFile: {
    variable: 'LATCHKEY_ROUTES_FILE',
    group: 'Decisions',
    kind: path,
    unset: 'none',
    about: 'Routes for `ext_authz` and forward auth: HTTP method and path template to method and workflow.',
  },
  trustMethodHeaders: {
    variable: 'LATCHKEY_TRUST_METHOD_HEADERS',
    group: 'Decisions',
    kind: boolean,
    default: 'false',
    about:
      'Whether `X-Latchkey-Method` and `X-Latchkey-Workflow` may name them in `ext_authz` and forward auth. Only behind a proxy that sets both itself.',
  },
  workflowOwnership: {
    variable: 'LATCHKEY_WORKFLOW_OWNERSHIP',
    group: 'Decisions',
    kind: oneOf('enforce', 'trust'),
    default: 'enforce',
    about:
      'Whether a named workflow must belong to the account of the key. `trust` leaves that check to the caller, who must then make it.',
  },
  maxActiveKeys: {
    variable: 'LATCHKEY_MAX_ACTIVE_KEYS',
    group: 'Keys',
    kind: integer(1, 100_000),
    default: '100',
    about: 'Most user keys of one account that are neither revoked nor expired.',
  },
  keyCreationsPerMinute: {
    variable: 'LATCHKEY_KEY_CREATIONS_PER_MINUTE',
    group: 'Keys',
    kind: integer(1, 1_000_000),
    default: '600',
    about: 'Most keys that one account may create or rotate over REST in a minute.',
  },
  keyTagSecrets: {
    variable: 'LATCHKEY_KEY_TAG_SECRETS',
    group: 'Keys',
    kind: list(text('a secret', SECRET_MIN_LENGTH, 1024)),
    unset: 'keys carry no tag',
    about:
      'Secrets of the tags inside new keys, newest first: a guessed key is then refused without a read of the database. Give all sidecars the same.',
    secret: true,
  },
  keyTagRequired: {
    variable: 'LATCHKEY_KEY_TAG_REQUIRED',
    group: 'Keys',
    kind: boolean,
    default: 'false',
    about:
      'Refuse keys without a valid tag unread. Only once no key is left that was made before the secrets were set.',
  },
  usageFlushMs: {
    variable: 'LATCHKEY_USAGE_FLUSH_MS',
    group: 'Keys',
    kind: integer(100, 3_600_000),
    default: '5000',
    about: 'How often "last used" is written, in ms.',
  },
  sessionMode: {
    variable: 'LATCHKEY_SESSION_MODE',
    group: 'Sessions',
    kind: oneOf('dev', 'table', 'jwt'),
    unset: '`dev` on the embedded database, required otherwise',
    about:
      'How a browser session is verified: `table` looks the hash of the cookie up in `latchkey.sessions`, `jwt` verifies a signature. `dev` believes the cookie and is refused with a `DATABASE_URL`.',
  },
  sessionCookie: {
    variable: 'LATCHKEY_SESSION_COOKIE',
    group: 'Sessions',
    kind: cookieName,
    default: 'session',
    about:
      'Name of the cookie in modes `table` and `jwt`; for Supabase `sb-<ref>-auth-token`, whose chunks are joined.',
  },
  jwtIssuer: {
    variable: 'LATCHKEY_JWT_ISSUER',
    group: 'Sessions',
    kind: text('the exact `iss` of the tokens'),
    unset: 'required in mode `jwt`',
    about: 'Who must have issued a token.',
  },
  jwtAudience: {
    variable: 'LATCHKEY_JWT_AUDIENCE',
    group: 'Sessions',
    kind: text('the exact `aud` of the tokens'),
    unset: 'required in mode `jwt`',
    about: 'For whom a token must have been issued.',
  },
  jwtJwksUrl: {
    variable: 'LATCHKEY_JWT_JWKS_URL',
    group: 'Sessions',
    kind: keySetUrl,
    unset: 'one of the three is required in mode `jwt`',
    about: 'Where the keys that verify tokens are fetched from.',
  },
  jwtPublicKeyFile: {
    variable: 'LATCHKEY_JWT_PUBLIC_KEY_FILE',
    group: 'Sessions',
    kind: path,
    unset: 'one of the three is required in mode `jwt`',
    about: 'A public key in PEM (SPKI) that verifies tokens.',
  },
  jwtHs256Secret: {
    variable: 'LATCHKEY_JWT_HS256_SECRET',
    group: 'Sessions',
    kind: text('a secret', SECRET_MIN_LENGTH),
    unset: 'one of the three is required in mode `jwt`',
    about: 'The secret shared with whoever signs tokens with HS256.',
    secret: true,
  },
  jwtAlgorithm: {
    variable: 'LATCHKEY_JWT_ALGORITHM',
    group: 'Sessions',
    kind: oneOf(...PUBLIC_KEY_ALGORITHMS),
    default: 'RS256',
    about: 'The one algorithm that the key in `LATCHKEY_JWT_PUBLIC_KEY_FILE` is used with.',
  },
  jwtClockToleranceSeconds: {
    variable: 'LATCHKEY_JWT_CLOCK_TOLERANCE_S',
    group: 'Sessions',
    kind: integer(0, 300),
    default: '5',
    about: 'How far the clocks of issuer and sidecar may differ, in seconds.',
  },
  allowedOrigins: {
    variable: 'LATCHKEY_ALLOWED_ORIGINS',
    group: 'Sessions',
    kind: list(origin),
    unset: 'only pages of the same origin',
    about: 'Origins of other pages that may call REST with a session.',
  },
  workers: {
    variable: 'LATCHKEY_WORKERS',
    group: 'Operation',
    kind: integer(1, 64),
    default: '1',
    about: 'Processes that share the listeners, each with a cache and a lease of its own.',
  },
  drainMs: {
    variable: 'LATCHKEY_DRAIN_MS',
    group: 'Operation',
    kind: integer(0, 600_000),
    default: '10000',
    about: 'How long calls in flight may take to end after SIGTERM, in ms, before they are cut off.',
  },
  logLevel: {
    variable: 'LATCHKEY_LOG_LEVEL',
    group: 'Operation',
    kind: oneOf('debug', 'info', 'warn', 'error'),
    default: 'info',
    about: 'The least important lines that are written, as JSON, to standard error.',
  },
} as const satisfies Record<string, Setting<unknown>>;
