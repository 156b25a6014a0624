import type { Question, Record } from './record.js';

/** A broken promise. */
export interface Violation {
  readonly rule: 'R1' | 'R1-direct' | 'R2' | 'R3' | 'agreement';
  readonly sidecar: string;
  readonly key: string;
  /** True time of the answer, ms. */
  readonly atMs: number;
  readonly detail: string;
}

/**
 * Checks what clients saw, on true time:
 *
 * - **R1** a question asked after the revocation of its key was confirmed is not granted;
 * - **R1-direct** one asked more than the longest lease after the confirmed COMMIT of plain SQL is not granted either;
 * - **R2** a question asked after the creation of its key was confirmed is not answered `unknown`, from then on when
 *   the creation was proven to every sidecar or nobody had asked before, otherwise from one lease later;
 * - **R3** no answer comes from memory later than a lease after the beginning of the attempt that gave the lease.
 *
 * @param longestLeaseMs the longest nominal lease of any sidecar
 */
export function check(record: Record, longestLeaseMs: number): Violation[] {
  const violations: Violation[] = [];
  for (const question of record.questions) {
    if (question.answer === 'granted') checkGrant(record, question, longestLeaseMs, violations);
    else if (question.answer === 'unknown') checkUnknown(record, question, longestLeaseMs, violations);
  }
  for (const { sidecar, key, atMs, leaseFromMs, leaseMs } of record.memoryUses) {
    if (leaseFromMs !== null && atMs < leaseFromMs + leaseMs) continue;
    const lease = leaseFromMs === null ? 'without a lease' : `${ms(atMs - leaseFromMs)} into a lease of ${leaseMs} ms`;
    violations.push({
      rule: 'R3',
      sidecar,
      key,
      atMs,
      detail: `${sidecar} answered ${key} from memory at ${ms(atMs)}, ${lease}`,
    });
  }
  return violations;
}

function checkGrant(record: Record, question: Question, longestLeaseMs: number, violations: Violation[]): void {
  const { key, sidecar, askedAtMs } = question;
  const revokedAt = record.revoked.get(key);
  if (revokedAt !== undefined && askedAtMs > revokedAt) {
    violations.push({
      rule: 'R1',
      sidecar,
      key,
      atMs: question.answeredAtMs,
      detail: `${sidecar} granted ${key}, asked at ${ms(askedAtMs)}, ${ms(askedAtMs - revokedAt)} after its revocation was confirmed`,
    });
  }
  const directlyAt = record.revokedDirectly.get(key);
  if (directlyAt !== undefined && askedAtMs > directlyAt + longestLeaseMs) {
    violations.push({
      rule: 'R1-direct',
      sidecar,
      key,
      atMs: question.answeredAtMs,
      detail: `${sidecar} granted ${key}, asked at ${ms(askedAtMs)}, ${ms(askedAtMs - directlyAt)} after plain SQL revoked it`,
    });
  }
}

function checkUnknown(record: Record, question: Question, longestLeaseMs: number, violations: Violation[]): void {
  const { key, sidecar, askedAtMs, answeredAtMs } = question;
  const creation = record.created.get(key);
  if (creation === undefined) return;
  const deletedAt = record.deleted.get(key);
  if (deletedAt !== undefined && answeredAtMs >= deletedAt) return;
  const prompt = creation.settled || (record.firstAsked.get(key) ?? askedAtMs) > creation.atMs;
  if (askedAtMs <= creation.atMs + (prompt ? 0 : longestLeaseMs)) return;
  violations.push({
    rule: 'R2',
    sidecar,
    key,
    atMs: answeredAtMs,
    detail: `${sidecar} did not know ${key}, asked at ${ms(askedAtMs)}, ${ms(askedAtMs - creation.atMs)} after its creation was confirmed`,
  });
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}
