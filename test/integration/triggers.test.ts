import { randomBytes, randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { testDatabase } from '../support/database.js';

const db = await testDatabase();

const INSERT = `INSERT INTO latchkey.api_keys (id, account_id, name, key_hash, key_prefix, permissions)
  VALUES ($1, 'acme', 'test', $2, 'nk_live_0000', '{read}')`;

async function head() {
  const [row] = await db.query<{ sequence: string; token: string }>('SELECT sequence, token FROM latchkey.head');
  return row;
}

async function eventsAfter(sequence: string | undefined) {
  return await db.query<{ sequence: string; kind: string; key_id: string; workflow_id: string; key_hash: Buffer }>(
    'SELECT sequence, kind, key_id, workflow_id, key_hash FROM latchkey.events WHERE sequence > $1 ORDER BY sequence',
    [sequence],
  );
}

const kinds = (events: readonly { kind: string }[]) => events.map(({ kind }) => kind);

let id: string;
let hash: Buffer;
let before: string | undefined;

beforeEach(async () => {
  id = randomUUID();
  hash = randomBytes(32);
  await db.query(INSERT, [id, hash]);
  before = (await head())?.sequence;
});

describe('any writer of api_keys', () => {
  it('leaves an event for a creation, with the hash for caches of unknown keys', async () => {
    const other = randomBytes(32);
    await db.query(INSERT, [randomUUID(), other]);
    const [event, ...more] = await eventsAfter(before);
    expect(more).toEqual([]);
    expect(event).toMatchObject({ kind: 'key-created', key_hash: other });
  });
});
