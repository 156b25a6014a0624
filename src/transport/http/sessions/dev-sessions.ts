import type { Session, Sessions } from '../../../ports/sessions.js';
import { onlyCookie } from './cookie-values.js';

/** The cookie whose value is the account itself. */
export const DEV_SESSION_COOKIE = 'latchkey_dev_session';

const ACCOUNT = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;

/** Reports whether a development session may be had for this account name. */
export function isDevAccount(text: string): boolean {
  return ACCOUNT.test(text);
}

/** Takes the cookie's word for who someone is: for trying things out on one's own machine, over loopback only. */
export class DevSessions implements Sessions {
  authenticate(cookieHeader: string | undefined): Promise<Session | null> {
    const account = onlyCookie(cookieHeader, DEV_SESSION_COOKIE);
    return Promise.resolve(account !== null && isDevAccount(account) ? { accountId: account } : null);
  }
}
