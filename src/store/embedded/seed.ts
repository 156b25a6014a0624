import pg from 'pg';
import { LOCAL_LIMITS } from './local-limits.js';

/** What a newcomer finds in the embedded database: two accounts, so that one can be refused the other's workflows. */
const WORKFLOWS = [
  { id: '00000000-0000-4000-8000-000000000001', accountId: 'dev', name: 'Nightly report' },
  { id: '00000000-0000-4000-8000-000000000002', accountId: 'dev', name: 'Lead intake' },
  { id: '00000000-0000-4000-8000-000000000003', accountId: 'other', name: 'Payroll' },
] as const;

/** Stores the workflows of the accounts `dev` and `other`; what exists already is left as it is. Needs the schema. */
export async function seedWorkflows(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, application_name: 'latchkey-seed', ...LOCAL_LIMITS });
  client.on('error', () => {});
  await client.connect();
  try {
    await client.query(
      `INSERT INTO latchkey.workflows (id, account_id, name)
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ON CONFLICT (id) DO NOTHING`,
      [WORKFLOWS.map(({ id }) => id), WORKFLOWS.map(({ accountId }) => accountId), WORKFLOWS.map(({ name }) => name)],
    );
  } finally {
    await client.end();
  }
}
