import { errors, type JWTPayload, type JWTVerifyGetKey, type JWTVerifyOptions, jwtVerify } from 'jose';
import { Failure } from '../../../domain/failure.js';
import type { Clock } from '../../../ports/clock.js';
import type { Session, Sessions } from '../../../ports/sessions.js';
import { sessionToken } from './session-token.js';

/** How tokens are verified. */
export interface JwtRules {
  /** The cookie that holds the token. */
  readonly cookie: string;
  readonly issuer: string;
  readonly audience: string;
  readonly clockToleranceSeconds: number;
  /** Which signatures count; fixed by the kind of key, never by what a token says of itself. */
  readonly algorithms: readonly string[];
  readonly key: JWTVerifyGetKey;
}

// Control characters: an identity that could break out of a log line or a header is none.
const SUBJECT = /^[^\p{Cc}\p{Cs}]{1,255}$/u;

/**
 * Verifies a JWT in a cookie: signature, `iss`, `aud`, `exp` and `nbf`, by the wall clock with some tolerance. The
 * account is the verified `sub`. A token without one of these claims (but `nbf`) is no session, however well signed.
 */
export class JwtSessions implements Sessions {
  constructor(
    private readonly rules: JwtRules,
    private readonly clock: Clock,
  ) {}

  async authenticate(cookieHeader: string | undefined): Promise<Session | null> {
    const token = sessionToken(cookieHeader, this.rules.cookie);
    if (token === null) return null;
    const { sub } = (await this.verify(token)) ?? {};
    return typeof sub === 'string' && SUBJECT.test(sub) ? { accountId: sub } : null;
  }

  private async verify(token: string): Promise<JWTPayload | null> {
    const { issuer, audience, clockToleranceSeconds, algorithms, key } = this.rules;
    const options: JWTVerifyOptions = {
      issuer,
      audience,
      algorithms: [...algorithms],
      clockTolerance: clockToleranceSeconds,
      currentDate: new Date(this.clock.wallMs()),
      requiredClaims: ['sub', 'exp'],
    };
    try {
      return (await jwtVerify(token, key, options)).payload;
    } catch (error) {
      if (error instanceof errors.JWKSMultipleMatchingKeys) return this.verifyWithEach(error, token, options);
      if (isAboutToken(error)) return null;
      throw keysUnavailable(error);
    }
  }

  /** For a token that names no key while several could have signed it. */
  private async verifyWithEach(
    keys: errors.JWKSMultipleMatchingKeys,
    token: string,
    options: JWTVerifyOptions,
  ): Promise<JWTPayload | null> {
    for await (const key of keys) {
      try {
        return (await jwtVerify(token, key, options)).payload;
      } catch (error) {
        if (!isAboutToken(error)) throw keysUnavailable(error);
        if (!(error instanceof errors.JWSSignatureVerificationFailed)) return null;
      }
    }
    return null;
  }
}

/** Reports whether the token is to blame, rather than the way to the keys. */
function isAboutToken(error: unknown): boolean {
  return (
    error instanceof errors.JWTExpired ||
    error instanceof errors.JWTClaimValidationFailed ||
    error instanceof errors.JWTInvalid ||
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JOSEAlgNotAllowed ||
    error instanceof errors.JOSENotSupported ||
    error instanceof errors.JWKSNoMatchingKey
  );
}

function keysUnavailable(cause: unknown): Failure {
  return new Failure('unavailable', 'Sessions cannot be verified right now; try again.', { cause });
}
