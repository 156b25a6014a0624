/** A person's verified browser session. */
export interface Session {
  readonly accountId: string;
}

/**
 * Verifies the platform's browser session.
 *
 * Contract: `null` for anything that is not a valid session, whatever is wrong with it; rejects with a `Failure` only
 * when it cannot know (database or key server out of reach). Never logs the cookie.
 */
export interface Sessions {
  /** @param cookieHeader the raw `Cookie` header, or `undefined` */
  authenticate(cookieHeader: string | undefined): Promise<Session | null>;
}
