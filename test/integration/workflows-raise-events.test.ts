import { describe, expect, it } from 'vitest';
import { workflowsRaiseEvents } from '../../src/store/postgres/workflows-raise-events.js';
import { testDatabase } from '../support/database.js';

describe('whether workflows raise events', async () => {
  const database = await testDatabase();
  const runner = database.runner();

  it('is so for the shipped table', async () => {
    expect(await workflowsRaiseEvents(runner)).toBe(true);
  });

  it.each(['workflow_changed', 'workflows_truncated'])('is not so while the trigger %s is off', async (trigger) => {
    await database.query(`ALTER TABLE latchkey.workflows DISABLE TRIGGER ${trigger}`);
    expect(await workflowsRaiseEvents(runner)).toBe(false);
    await database.query(`ALTER TABLE latchkey.workflows ENABLE ALWAYS TRIGGER ${trigger}`);
    expect(await workflowsRaiseEvents(runner)).toBe(true);
  });

  it('is not so for a view over a table of the platform', async () => {
    await database.query(`
      ALTER TABLE latchkey.workflows RENAME TO platform_workflows;
      CREATE VIEW latchkey.workflows AS SELECT id, account_id, name FROM latchkey.platform_workflows`);
    expect(await workflowsRaiseEvents(runner)).toBe(false);
  });
});
