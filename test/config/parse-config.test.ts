import { describe, expect, it } from 'vitest';
import {
  type Config,
  type ConfigProblem,
  describeProblem,
  type Environment,
  parseCommandConfig,
  parseConfig,
} from '../../src/config.js';

const DATABASE_URL = 'postgres://latchkey:secret@db.example:5432/latchkey';

/** The least that a real deployment sets. */
const DEPLOYED = { DATABASE_URL, LATCHKEY_SESSION_MODE: 'table' };

function configOf(env: Environment): Config {
  const parsed = parseConfig(env);
  if ('problems' in parsed) expect.fail(parsed.problems.map(describeProblem).join('\n'));
  return parsed.config;
}

function problemsOf(env: Environment): readonly ConfigProblem[] {
  const parsed = parseConfig(env);
  return 'problems' in parsed ? parsed.problems : [];
}

const variablesRefused = (env: Environment) => problemsOf(env).map(({ variable }) => variable);

describe('the configuration', () => {
  it('needs nothing: the default is an embedded database, loopback listeners and dev sessions', () => {
    const config = configOf({});
    expect(config.database).toEqual({ kind: 'embedded', dataDir: '.latchkey' });
    expect(config.session).toEqual({ mode: 'dev' });
    expect(config.grpcAddresses.map(({ text }) => text)).toEqual(['127.0.0.1:50051']);
    expect(config.adminAddress?.text).toBe('127.0.0.1:50052');
    expect(config.httpAddress?.text).toBe('127.0.0.1:8080');
    expect(config.metricsAddress?.text).toBe('127.0.0.1:9464');
    expect(config).toMatchObject({
      tls: null,
      leaseMs: 3000,
      cacheMaxKeys: 100_000,
      onDatabaseLoss: { kind: 'deny' },
      workers: 1,
      maxActiveKeys: 100,
      workflowOwnership: 'enforce',
      trustMethodHeaders: false,
      keyTagRequired: false,
    });
  });

  it('is frozen', () => {
    const config = configOf(DEPLOYED);
    for (const part of [config, config.database, config.session, config.grpcAddresses, config.grpcAddresses[0]]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  it.each<[string, Environment, Partial<Config>]>([
    [
      'listens where the queries go',
      DEPLOYED,
      { database: { kind: 'url', url: DATABASE_URL, listenUrl: DATABASE_URL } },
    ],
    [
      'listens past a pooler',
      { ...DEPLOYED, LATCHKEY_LISTEN_DATABASE_URL: 'postgresql://direct/latchkey' },
      { database: { kind: 'url', url: DATABASE_URL, listenUrl: 'postgresql://direct/latchkey' } },
    ],
    [
      'serves from memory for a while',
      { LATCHKEY_ON_DATABASE_LOSS: 'serve-cached:60' },
      { onDatabaseLoss: { kind: 'serve-cached', seconds: 60 } },
    ],
    [
      'turns listeners off',
      { LATCHKEY_ADMIN_ADDRESS: '', LATCHKEY_HTTP_ADDRESS: '' },
      { adminAddress: null, httpAddress: null },
    ],
    [
      'reads lists',
      { LATCHKEY_ALLOWED_ORIGINS: 'https://a.example, https://b.example:8443' },
      { allowedOrigins: ['https://a.example', 'https://b.example:8443'] },
    ],
    [
      'reads the cookie of tables',
      { ...DEPLOYED, LATCHKEY_SESSION_COOKIE: 'sid' },
      { session: { mode: 'table', cookie: 'sid' } },
    ],
  ])('%s', (_, env, expected) => {
    expect(configOf(env)).toMatchObject(expected);
  });

  it('reads several gRPC addresses: TCP, IPv6 and unix sockets', () => {
    const { grpcAddresses } = configOf({ LATCHKEY_GRPC_ADDRESS: '0.0.0.0:50051,[::1]:50051, unix:/run/latchkey.sock' });
    expect(grpcAddresses).toEqual([
      { kind: 'tcp', host: '0.0.0.0', port: 50051, text: '0.0.0.0:50051' },
      { kind: 'tcp', host: '::1', port: 50051, text: '[::1]:50051' },
      { kind: 'unix', path: '/run/latchkey.sock', text: 'unix:/run/latchkey.sock' },
    ]);
  });

  const JWT = { DATABASE_URL, LATCHKEY_SESSION_MODE: 'jwt', LATCHKEY_JWT_ISSUER: 'iss', LATCHKEY_JWT_AUDIENCE: 'aud' };

  it.each<[string, Environment, unknown]>([
    [
      'a key set',
      { LATCHKEY_JWT_JWKS_URL: 'https://id.example/jwks' },
      { kind: 'jwks', url: 'https://id.example/jwks' },
    ],
    [
      'a public key',
      { LATCHKEY_JWT_PUBLIC_KEY_FILE: 'id.pem', LATCHKEY_JWT_ALGORITHM: 'ES256' },
      { kind: 'public-key', file: 'id.pem', algorithm: 'ES256' },
    ],
    ['a secret', { LATCHKEY_JWT_HS256_SECRET: 's'.repeat(32) }, { kind: 'hs256', secret: 's'.repeat(32) }],
  ])('verifies tokens by %s', (_, env, key) => {
    expect(configOf({ ...JWT, ...env }).session).toEqual({
      mode: 'jwt',
      cookie: 'session',
      issuer: 'iss',
      audience: 'aud',
      clockToleranceSeconds: 5,
      key,
    });
  });

  it('reports every problem at once', () => {
    const env = {
      DATABASE_URL: 'mysql://x',
      LATCHKEY_LEASE_MS: '3s',
      LATCHKEY_WORKERS: '0',
      LATCHKEY_LOG_LEVEL: 'loud',
    };
    expect(variablesRefused(env).sort()).toEqual([
      'DATABASE_URL',
      'LATCHKEY_LEASE_MS',
      'LATCHKEY_LOG_LEVEL',
      'LATCHKEY_WORKERS',
    ]);
  });

  it('names the variable, the shape of its value and what is allowed', () => {
    expect(problemsOf({ LATCHKEY_LEASE_MS: '3000ms' }).map(describeProblem)).toEqual([
      'LATCHKEY_LEASE_MS has 6 characters of the shape "9999aa"; it must be a whole number from 300 to 60000',
    ]);
  });

  it('never repeats a value, of a secret not even its shape', () => {
    const secret = 'Hunter2-hunter2';
    for (const variable of ['DATABASE_URL', 'LATCHKEY_KEY_TAG_SECRETS', 'LATCHKEY_LEASE_MS', 'LATCHKEY_SECRET']) {
      const text = JSON.stringify(problemsOf({ [variable]: secret }));
      expect(text).toContain(variable);
      expect(text).not.toContain('unter');
    }
    expect(JSON.stringify(problemsOf({ DATABASE_URL: secret }))).not.toContain('Aaaaaa9');
  });

  it.each<[string, string]>([
    ['LATCHKEY_LEASE_MS', '299'],
    ['LATCHKEY_LEASE_MS', '60001'],
    ['LATCHKEY_LEASE_MS', '1e3'],
    ['LATCHKEY_LEASE_MS', ' 3000'],
    ['LATCHKEY_LEASE_MS', ''],
    ['LATCHKEY_CACHE_MAX_KEYS', '-1'],
    ['LATCHKEY_ON_DATABASE_LOSS', 'serve-cached'],
    ['LATCHKEY_ON_DATABASE_LOSS', 'serve-cached:0'],
    ['LATCHKEY_ON_DATABASE_LOSS', 'allow'],
    ['LATCHKEY_GRPC_ADDRESS', ''],
    ['LATCHKEY_GRPC_ADDRESS', '50051'],
    ['LATCHKEY_GRPC_ADDRESS', ':50051'],
    ['LATCHKEY_GRPC_ADDRESS', '127.0.0.1:65536'],
    ['LATCHKEY_GRPC_ADDRESS', '127.0.0.1.1:50051'],
    ['LATCHKEY_GRPC_ADDRESS', '256.0.0.1:50051'],
    ['LATCHKEY_GRPC_ADDRESS', '::1:50051'],
    ['LATCHKEY_GRPC_ADDRESS', 'unix:relative.sock'],
    ['LATCHKEY_GRPC_ADDRESS', `unix:/${'x'.repeat(107)}`],
    ['LATCHKEY_GRPC_ADDRESS', '127.0.0.1:1,,127.0.0.1:2'],
    ['LATCHKEY_HTTP_ADDRESS', 'http://127.0.0.1:8080'],
    ['LATCHKEY_ALLOWED_ORIGINS', 'https://app.example/'],
    ['LATCHKEY_ALLOWED_ORIGINS', '*'],
    ['LATCHKEY_ALLOWED_ORIGINS', 'https://App.example'],
    ['LATCHKEY_TRUST_METHOD_HEADERS', 'yes'],
    ['LATCHKEY_WORKFLOW_OWNERSHIP', 'ignore'],
    ['LATCHKEY_KEY_TAG_SECRETS', 'short'],
    ['LATCHKEY_KEY_TAG_SECRETS', `${'s'.repeat(32)},`],
    ['LATCHKEY_SESSION_COOKIE', 'a b'],
    ['LATCHKEY_SESSION_MODE', 'none'],
    ['LATCHKEY_METHODS_FILE', ''],
  ])('refuses %s=%j', (variable, value) => {
    expect(variablesRefused({ [variable]: value })).toEqual([variable]);
  });

  it.each<[string, Environment, string]>([
    ['a database without a session mode', { DATABASE_URL }, 'LATCHKEY_SESSION_MODE'],
    ['dev sessions on a real database', { DATABASE_URL, LATCHKEY_SESSION_MODE: 'dev' }, 'LATCHKEY_SESSION_MODE'],
    ['dev sessions beyond loopback', { LATCHKEY_HTTP_ADDRESS: '0.0.0.0:8080' }, 'LATCHKEY_HTTP_ADDRESS'],
    ['a listening URL alone', { LATCHKEY_LISTEN_DATABASE_URL: DATABASE_URL }, 'LATCHKEY_LISTEN_DATABASE_URL'],
    ['a certificate without its key', { LATCHKEY_TLS_CERT: 'a.pem' }, 'LATCHKEY_TLS_KEY'],
    ['a key without its certificate', { LATCHKEY_TLS_KEY: 'a.key' }, 'LATCHKEY_TLS_CERT'],
    ['client certificates without TLS', { LATCHKEY_TLS_CLIENT_CA: 'ca.pem' }, 'LATCHKEY_TLS_CLIENT_CA'],
    ['names of clients that nothing verifies', { LATCHKEY_ADMIN_CLIENTS: 'publisher' }, 'LATCHKEY_ADMIN_CLIENTS'],
    ['a required tag without a secret', { LATCHKEY_KEY_TAG_REQUIRED: 'true' }, 'LATCHKEY_KEY_TAG_REQUIRED'],
    ['two listeners on one address', { LATCHKEY_HTTP_ADDRESS: '127.0.0.1:50051' }, 'LATCHKEY_HTTP_ADDRESS'],
    [
      'tokens without an issuer',
      { ...JWT, LATCHKEY_JWT_ISSUER: undefined, LATCHKEY_JWT_HS256_SECRET: 's'.repeat(32) },
      'LATCHKEY_JWT_ISSUER',
    ],
    [
      'tokens with an empty audience',
      { ...JWT, LATCHKEY_JWT_AUDIENCE: '', LATCHKEY_JWT_HS256_SECRET: 's'.repeat(32) },
      'LATCHKEY_JWT_AUDIENCE',
    ],
    ['tokens that nothing verifies', JWT, 'LATCHKEY_JWT_JWKS_URL'],
    [
      'tokens that two things verify',
      { ...JWT, LATCHKEY_JWT_JWKS_URL: 'https://a.example/j', LATCHKEY_JWT_HS256_SECRET: 's'.repeat(32) },
      'LATCHKEY_JWT_HS256_SECRET',
    ],
    ['a guessable secret', { ...JWT, LATCHKEY_JWT_HS256_SECRET: 'secret' }, 'LATCHKEY_JWT_HS256_SECRET'],
    ['a key set over plain HTTP', { ...JWT, LATCHKEY_JWT_JWKS_URL: 'http://id.example/jwks' }, 'LATCHKEY_JWT_JWKS_URL'],
    ['settings of tokens in another mode', { ...DEPLOYED, LATCHKEY_JWT_ISSUER: 'iss' }, 'LATCHKEY_JWT_ISSUER'],
    [
      'the algorithm "none"',
      { ...JWT, LATCHKEY_JWT_PUBLIC_KEY_FILE: 'k.pem', LATCHKEY_JWT_ALGORITHM: 'none' },
      'LATCHKEY_JWT_ALGORITHM',
    ],
  ])('refuses %s', (_, env, variable) => {
    expect(variablesRefused(env)).toEqual([variable]);
  });

  const TLS = { LATCHKEY_TLS_CERT: 'a.pem', LATCHKEY_TLS_KEY: 'a.key' };

  it.each<[Environment, string[]]>([
    [{}, ['LATCHKEY_ADMIN_ADDRESS', 'LATCHKEY_ADMIN_CLIENTS']],
    [TLS, ['LATCHKEY_ADMIN_ADDRESS', 'LATCHKEY_ADMIN_CLIENTS']],
    [{ ...TLS, LATCHKEY_TLS_CLIENT_CA: 'ca.pem' }, ['LATCHKEY_ADMIN_CLIENTS']],
    [{ ...TLS, LATCHKEY_TLS_CLIENT_CA: 'ca.pem', LATCHKEY_ADMIN_CLIENTS: 'spiffe://x/publisher' }, []],
  ])('lets the admin listener leave the machine only with client certificates and names: %j', (env, refused) => {
    expect(variablesRefused({ ...DEPLOYED, LATCHKEY_ADMIN_ADDRESS: '0.0.0.0:50052', ...env })).toEqual(refused);
  });

  it.each(['127.0.0.1:50052', '127.8.8.8:50052', 'localhost:50052', '[::1]:50052', 'unix:/run/admin.sock'])(
    'lets the admin listener stay on the machine without: %s',
    (address) => {
      expect(variablesRefused({ ...DEPLOYED, LATCHKEY_ADMIN_ADDRESS: address })).toEqual([]);
    },
  );

  it('lets several listeners ask for any free port', () => {
    const any = '127.0.0.1:0';
    expect(
      variablesRefused({
        LATCHKEY_HTTP_ADDRESS: any,
        LATCHKEY_METRICS_ADDRESS: any,
        LATCHKEY_GRPC_ADDRESS: `${any},${any}`,
      }),
    ).toEqual([]);
  });

  it('refuses a variable that does not exist, and says which one was meant', () => {
    expect(problemsOf({ LATCHKEY_LEASE: '1', LATCHKEY_SOMETHING_ELSE_ALTOGETHER: '1' }).map(describeProblem)).toEqual([
      'LATCHKEY_LEASE is no setting (did you mean LATCHKEY_LEASE_MS?); it must be unset',
      'LATCHKEY_SOMETHING_ELSE_ALTOGETHER is no setting (latchkey serve --help lists all settings); it must be unset',
    ]);
  });

  it('puts up with what Kubernetes sets for services of the same name', () => {
    const env = {
      LATCHKEY_SERVICE_HOST: '10.0.0.1',
      LATCHKEY_SERVICE_PORT: '50051',
      LATCHKEY_SERVICE_PORT_GRPC: '50051',
      LATCHKEY_PORT: 'tcp://10.0.0.1:50051',
      LATCHKEY_PORT_50051_TCP: 'tcp://10.0.0.1:50051',
      LATCHKEY_PORT_50051_TCP_ADDR: '10.0.0.1',
      LATCHKEY_ADMIN_SERVICE_HOST: '10.0.0.2',
    };
    expect(variablesRefused(env)).toEqual([]);
  });
});

describe('the configuration of a command that serves nobody', () => {
  it('does without session settings', () => {
    expect(parseCommandConfig({ DATABASE_URL })).toHaveProperty('config.database.kind', 'url');
  });

  it('still refuses what is wrong', () => {
    expect(parseCommandConfig({ DATABASE_URL: 'x' })).toHaveProperty('problems.0.variable', 'DATABASE_URL');
  });
});
