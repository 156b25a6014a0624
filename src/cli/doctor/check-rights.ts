import { withConnection } from './check-database.js';
import { type Finding, fail, ok, reasonOf } from './finding.js';

/**
 * What the statements of the adapters, and the functions that they call, do with each table. Triggers run with the rights
 * of the schema's owner. `sessions` is left to the check of the session mode, without which nobody reads it.
 */
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  api_keys: ['SELECT', 'INSERT', 'UPDATE'],
  key_usage: ['SELECT', 'INSERT', 'UPDATE'],
  key_audit: ['SELECT', 'INSERT'],
  // A head that somebody deleted is made again.
  head: ['SELECT', 'INSERT', 'UPDATE'],
  events: ['SELECT', 'INSERT', 'DELETE'],
  sidecars: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
  workflows: ['SELECT'],
};

interface Lacking {
  readonly relation: string;
  readonly rights: string;
  readonly role: string;
}

/** What the connected user lacks of rights ($2) on tables ($1), a table a row. */
const LACKING = `
  SELECT n.relation, string_agg(n.privilege, ', ' ORDER BY n.place) AS rights, quote_ident(current_user) AS role
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS n (relation, privilege, place)
    WHERE NOT has_table_privilege(to_regclass('latchkey.' || n.relation), n.privilege)
    GROUP BY n.relation ORDER BY min(n.place)`;

/**
 * Looks whether the user of the queries has the rights that a sidecar needs: without them it starts, reads what it may,
 * and never gets a lease.
 */
export async function checkRights(url: string): Promise<Finding> {
  const needed = Object.entries(NEEDED).flatMap(([table, rights]) => rights.map((right) => [table, right] as const));
  try {
    const lacking = await withConnection(url, async (client) => {
      const values = [needed.map(([table]) => table), needed.map(([, right]) => right)];
      return (await client.query<Lacking>(LACKING, values)).rows;
    });
    if (lacking.length === 0) return ok('rights', 'this user may do what a sidecar does');
    return fail(
      'rights',
      `this user lacks ${lacking.map(({ relation, rights }) => `${rights} on ${relation}`).join('; ')}`,
      `as the owner of the schema: ${lacking.map(({ relation, rights, role }) => `GRANT ${rights} ON latchkey.${relation} TO ${role};`).join(' ')}`,
    );
  } catch (error) {
    return fail('rights', `they cannot be read: ${reasonOf(error)}`, 'GRANT USAGE ON SCHEMA latchkey to this user');
  }
}
