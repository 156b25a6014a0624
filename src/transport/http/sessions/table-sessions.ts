import { createHash } from 'node:crypto';
import type { SessionSource } from '../../../ports/session-source.js';
import type { Session, Sessions } from '../../../ports/sessions.js';
import { onlyCookie } from './cookie-values.js';

// RFC 6265's cookie-octet, in bounds that hold any sane token and keep a look-up cheap.
const TOKEN = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]{1,1024}$/;

/**
 * Looks opaque tokens up by their SHA-256, so that who can read the table cannot sign in, and comparing leaks nothing
 * about a token through time.
 */
export class TableSessions implements Sessions {
  constructor(
    private readonly source: SessionSource,
    private readonly cookie: string,
  ) {}

  async authenticate(cookieHeader: string | undefined): Promise<Session | null> {
    const token = onlyCookie(cookieHeader, this.cookie);
    if (token === null || !TOKEN.test(token)) return null;
    const accountId = await this.source.accountOf(createHash('sha256').update(token).digest());
    return accountId === null || accountId === '' ? null : { accountId };
  }
}
