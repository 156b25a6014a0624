import { describe, expect, it } from 'vitest';
import { check } from './check.js';
import { type Question, Record } from './record.js';

const LEASE_MS = 400;

const rules = (record: Record) => check(record, LEASE_MS).map(({ rule }) => rule);

function recordOf(question: Partial<Question>): Record {
  const record = new Record();
  const askedAtMs = question.askedAtMs ?? 100;
  record.questions.push({
    key: 'K',
    sidecar: 'S',
    askedAtMs,
    answeredAtMs: askedAtMs + 1,
    answer: 'granted',
    ...question,
  });
  record.ask('K', askedAtMs);
  return record;
}

describe('the checker', () => {
  it('reports a grant that was asked for after a confirmed revocation', () => {
    const record = recordOf({ askedAtMs: 101 });
    record.revoked.set('K', 100);
    expect(rules(record)).toEqual(['R1']);
  });

  it('accepts a grant that was asked for before, however late it came', () => {
    const record = recordOf({ askedAtMs: 100, answeredAtMs: 5_000 });
    record.revoked.set('K', 100);
    expect(rules(record)).toEqual([]);
  });

  it('gives plain SQL one lease', () => {
    const early = recordOf({ askedAtMs: 100 + LEASE_MS });
    early.revokedDirectly.set('K', 100);
    expect(rules(early)).toEqual([]);
    const late = recordOf({ askedAtMs: 101 + LEASE_MS });
    late.revokedDirectly.set('K', 100);
    expect(rules(late)).toEqual(['R1-direct']);
  });

  it('reports a key that is unknown after a creation that everybody knew of', () => {
    const record = recordOf({ askedAtMs: 101, answer: 'unknown' });
    record.created.set('K', { atMs: 100, settled: true });
    expect(rules(record)).toEqual(['R2']);
  });

  it('reports a key that is unknown although nobody could have asked before its creation', () => {
    const record = recordOf({ askedAtMs: 101, answer: 'unknown' });
    record.created.set('K', { atMs: 100, settled: false });
    expect(rules(record)).toEqual(['R2']);
  });

  it('gives an unsettled creation one lease where somebody had asked before', () => {
    const record = recordOf({ askedAtMs: 101, answer: 'unknown' });
    record.firstAsked.set('K', 50);
    record.created.set('K', { atMs: 100, settled: false });
    expect(rules(record)).toEqual([]);
    record.questions.push({ ...(record.questions[0] as Question), askedAtMs: 101 + LEASE_MS });
    expect(rules(record)).toEqual(['R2']);
  });

  it('accepts that a key is unknown once its deletion has begun', () => {
    const record = recordOf({ askedAtMs: 101, answer: 'unknown' });
    record.created.set('K', { atMs: 0, settled: true });
    record.deleted.set('K', 102);
    expect(rules(record)).toEqual([]);
  });

  it('reports memory that is used without a lease, or after it', () => {
    const record = new Record();
    const use = { sidecar: 'S', key: 'K', leaseMs: LEASE_MS };
    record.memoryUses.push({ ...use, atMs: 499, leaseFromMs: 100 });
    expect(rules(record)).toEqual([]);
    record.memoryUses.push({ ...use, atMs: 500, leaseFromMs: 100 }, { ...use, atMs: 1, leaseFromMs: null });
    expect(rules(record)).toEqual(['R3', 'R3']);
  });
});
