import { createHash } from 'node:crypto';
import { hashRawKey, type KeyHash, RAW_KEY_PREFIX } from '../../src/domain/raw-key.js';

/**
 * The keys of the benchmark's databases: each follows from its number, here and in SQL, so that millions of them can be
 * made by the database and asked for by a client without a list.
 */

/** A raw key as a decoder makes it: a flat string. */
export function benchKey(index: number): string {
  return Buffer.from(RAW_KEY_PREFIX + sha256Hex(`key-${index}`)).toString('latin1');
}

/** A well-formed key that no database holds. */
export function unknownKey(index: number): string {
  return Buffer.from(RAW_KEY_PREFIX + sha256Hex(`unknown-${index}`)).toString('latin1');
}

/** Its hash. */
export function benchKeyHash(index: number): KeyHash {
  return hashRawKey(benchKey(index));
}

/** Id of the key, as the database makes it. */
export function benchKeyId(index: number): string {
  return md5Uuid(`id-${index}`);
}

/** Account number `index`. */
export function benchAccount(index: number): string {
  return md5Uuid(`account-${index}`);
}

/** The workflow of account number `index`. */
export function benchWorkflow(index: number): string {
  return md5Uuid(`workflow-${index}`);
}

/** SQL that gives the rows of `latchkey.api_keys` from number $from to $to; every `perAccount` keys share an account. */
export function benchKeyRows(from: number, to: number, perAccount: number): string {
  return `
    SELECT md5('id-' || i)::uuid AS id, md5('account-' || (i / ${perAccount}))::uuid::text AS account_id,
           'bench ' || i AS name, sha256(convert_to(raw.key, 'UTF8')) AS key_hash, left(raw.key, 12) AS key_prefix,
           ARRAY['read', 'execute', 'write'] AS permissions,
           timestamptz '2026-01-01' + i * interval '1 millisecond' AS created_at
      FROM generate_series(${from}::bigint, ${to - 1}::bigint) AS i,
           LATERAL (SELECT '${RAW_KEY_PREFIX}' || encode(sha256(convert_to('key-' || i, 'UTF8')), 'hex') AS key) AS raw`;
}

function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function md5Uuid(text: string): string {
  const hex = createHash('md5').update(text).digest('hex');
  return Buffer.from(
    [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-'),
  ).toString('latin1');
}
