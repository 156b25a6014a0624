import type { SessionConfig } from '../../config.js';
import type { Clock } from '../../ports/clock.js';
import { createSessions } from '../../transport/http/sessions/create-sessions.js';
import { answered } from './answered.js';
import { withConnection } from './check-database.js';
import { codeOf, type Finding, fail, ok, reasonOf, warn } from './finding.js';

/** Tries what the session mode rests on. */
export async function checkSessions(
  session: SessionConfig,
  databaseUrl: string | null,
  clock: Clock,
): Promise<Finding> {
  const subject = `sessions (${session.mode})`;
  switch (session.mode) {
    case 'dev':
      return ok(subject, 'any cookie is believed; on loopback and the embedded database only');
    case 'table':
      return databaseUrl === null
        ? warn(subject, 'could not be tried', 'mend the database first')
        : await checkTable(subject, databaseUrl);
    case 'jwt':
      return session.key.kind === 'jwks'
        ? await checkKeySet(subject, session.key.url)
        : await checkKey(subject, session, clock);
  }
}

async function checkTable(subject: string, url: string): Promise<Finding> {
  try {
    await withConnection(url, (client) =>
      client.query('SELECT token_hash, account_id, expires_at FROM latchkey.sessions LIMIT 0'),
    );
    return ok(subject, 'latchkey.sessions can be read');
  } catch (error) {
    const remedy =
      codeOf(error) === '42501'
        ? 'grant SELECT on latchkey.sessions to this user'
        : 'run latchkey migrate, or make latchkey.sessions a view of (token_hash bytea, account_id text, expires_at timestamptz)';
    return fail(subject, reasonOf(error), remedy);
  }
}

async function checkKeySet(subject: string, url: string): Promise<Finding> {
  const remedy = 'correct LATCHKEY_JWT_JWKS_URL, or let this machine reach it';
  try {
    const response = await answered(fetch(url, { redirect: 'error' }));
    if (!response.ok) return fail(subject, `${url} answers ${response.status}`, remedy);
    const body: unknown = await answered(response.json());
    const keys =
      typeof body === 'object' && body !== null && 'keys' in body && Array.isArray(body.keys) ? body.keys : [];
    if (keys.length === 0) return fail(subject, `${url} holds no keys`, remedy);
    return ok(subject, `${keys.length} ${keys.length === 1 ? 'key' : 'keys'} at ${url}`);
  } catch (error) {
    return fail(subject, `${url}: ${reasonOf(error)}`, remedy);
  }
}

async function checkKey(subject: string, session: SessionConfig, clock: Clock): Promise<Finding> {
  try {
    await createSessions(session, { clock, source: { accountOf: () => Promise.resolve(null) } });
    return ok(subject, 'the key can be used');
  } catch (error) {
    return fail(subject, reasonOf(error), 'correct the key, or the algorithm it is used with');
  }
}
