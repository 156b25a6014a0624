import { readFile } from 'node:fs/promises';
import { type CryptoKey, createRemoteJWKSet, importSPKI, importX509, type JWTVerifyGetKey } from 'jose';
import type { SessionConfig } from '../../../config.js';
import type { Clock } from '../../../ports/clock.js';
import type { SessionSource } from '../../../ports/session-source.js';
import type { Sessions } from '../../../ports/sessions.js';
import { DevSessions } from './dev-sessions.js';
import { JwtSessions } from './jwt-sessions.js';
import { TableSessions } from './table-sessions.js';

/** What sessions of each kind may need. */
export interface SessionDeps {
  readonly clock: Clock;
  readonly source: SessionSource;
}

type JwtConfig = Extract<SessionConfig, { mode: 'jwt' }>;

/** Longest wait for the key server, in ms. */
const JWKS_TIMEOUT_MS = 2000;
/** Keys older than this, in ms, are fetched again before the next use. */
const JWKS_MAX_AGE_MS = 600_000;
/** Shortest time, in ms, between two fetches that tokens with unknown key ids can cause. */
const JWKS_COOLDOWN_MS = 30_000;

/**
 * Signatures that a key set may be used for: asymmetric ones only. A public key must never verify an HMAC, or everyone
 * who can read it could sign.
 */
const ASYMMETRIC = [
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
  'Ed25519',
];

/** Shortest RSA key that verifies anything. Found at the start: the verifier would refuse every single token later. */
const RSA_BITS_MIN = 2048;

/** Makes the verifier of browser sessions that the configuration asks for. Rejects when its key cannot be used. */
export async function createSessions(config: SessionConfig, { clock, source }: SessionDeps): Promise<Sessions> {
  switch (config.mode) {
    case 'dev':
      return new DevSessions();
    case 'table':
      return new TableSessions(source, config.cookie);
    case 'jwt':
      return new JwtSessions({ ...config, ...(await verificationKey(config.key)) }, clock);
    default:
      return config satisfies never;
  }
}

async function verificationKey(
  key: JwtConfig['key'],
): Promise<{ readonly algorithms: readonly string[]; readonly key: JWTVerifyGetKey }> {
  switch (key.kind) {
    case 'jwks':
      return {
        algorithms: ASYMMETRIC,
        key: createRemoteJWKSet(new URL(key.url), {
          timeoutDuration: JWKS_TIMEOUT_MS,
          cacheMaxAge: JWKS_MAX_AGE_MS,
          cooldownDuration: JWKS_COOLDOWN_MS,
        }),
      };
    case 'public-key': {
      if (!ASYMMETRIC.includes(key.algorithm)) throw new Error(`${key.algorithm} is not an algorithm of public keys`);
      const pem = await readFile(key.file, 'utf8');
      const read = pem.includes('BEGIN CERTIFICATE') ? importX509 : importSPKI;
      const publicKey = await read(pem, key.algorithm).catch((cause) => {
        throw new Error(`${key.file} holds no PEM public key for ${key.algorithm}`, { cause });
      });
      const bits = modulusBitsOf(publicKey);
      if (bits < RSA_BITS_MIN)
        throw new Error(`${key.file} holds an RSA key of ${bits} bits, fewer than ${RSA_BITS_MIN}`);
      return { algorithms: [key.algorithm], key: async () => publicKey };
    }
    case 'hs256': {
      const secret = new TextEncoder().encode(key.secret);
      return { algorithms: ['HS256'], key: async () => secret };
    }
    default:
      return key satisfies never;
  }
}

/** Bits of an RSA key; of any other kind, whose strength its algorithm fixes, more than any limit. */
function modulusBitsOf({ algorithm }: CryptoKey): number {
  return 'modulusLength' in algorithm ? Number(algorithm.modulusLength) : Number.POSITIVE_INFINITY;
}
