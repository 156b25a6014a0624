/** PostgreSQL of one's own, or the embedded one. */
export type DatabaseConfig =
  | { readonly kind: 'embedded'; readonly dataDir: string }
  | { readonly kind: 'url'; readonly url: string; readonly listenUrl: string };

/** Where a listener binds: `host:port` or `unix:/path`. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly text: string }
  | { readonly kind: 'unix'; readonly path: string; readonly text: string };

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
}
