// npm run test:guarantee -- [--seconds 60] [--sidecars 3] [--lease-ms 1000] [--seed 1] [--without a,b]
//                           [--no-failover] [--json FILE]
//
// Runs sidecar processes on a PostgreSQL of its own under faults and counts wrong answers. Exits with 1 when a revoked
// key was granted after its revocation had been confirmed, or when too little was tried to mean anything.
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { ALL_PROTECTIONS, type Protections } from '../../src/ports/protections.js';
import { PostgresServer } from '../support/postgres-server.js';
import { guaranteeRun } from './guarantee-run.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    sidecars: { type: 'string', default: '3' },
    'lease-ms': { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    without: { type: 'string', default: '' },
    'no-failover': { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});

const without = values.without === '' ? [] : values.without.split(',');
for (const name of without) {
  if (!Object.hasOwn(ALL_PROTECTIONS, name)) throw new Error(`there is no protection ${name}`);
}
const removed = Object.fromEntries(without.map((name) => [name, false])) as Partial<Protections>;

function percentile(ascending: readonly number[], share: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * share))] ?? Number.NaN;
}

const primary = await PostgresServer.create({ max_connections: '200' });
const standby = values['no-failover'] ? null : await primary.createStandby({ max_connections: '200' });
if (standby !== null) await primary.set('synchronous_standby_names', '*');
try {
  const { history, faults, commitsCut, confirmationMs, failedOver } = await guaranteeRun(primary, standby, {
    seconds: Number(values.seconds),
    sidecars: Number(values.sidecars),
    leaseMs: Number(values['lease-ms']),
    seed: Number(values.seed),
    protections: removed,
    stopAtViolation: without.length > 0,
    failoverAt: standby === null ? null : 0.6,
  });
  const { tally, violations } = history;
  const report = {
    options: { ...values, without },
    tally,
    violations: violations.slice(0, 20),
    violationCount: violations.length,
    faults,
    commitsCut,
    failedOver,
    confirmationMs: {
      p50: percentile(confirmationMs, 0.5),
      p90: percentile(confirmationMs, 0.9),
      p99: percentile(confirmationMs, 0.99),
      max: confirmationMs.at(-1) ?? Number.NaN,
    },
  };
  console.log(JSON.stringify(report, null, 2));
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);

  const problems: string[] = [];
  if (violations.length > 0) problems.push(`${violations.length} wrong answers after a confirmed revocation`);
  if (tally.unknownAfterCreation > 0) problems.push(`${tally.unknownAfterCreation} existing keys were called unknown`);
  if (without.length === 0) {
    // A run that asked nothing, or in which nothing was ever granted from a cache, would prove nothing.
    if (tally.asked < 100 * Number(values.seconds)) problems.push(`only ${tally.asked} questions after confirmations`);
    if (tally.denied < tally.asked / 2)
      problems.push(`only ${tally.denied} of ${tally.asked} were answered with a denial`);
    if (tally.liveGranted < tally.live / 4)
      problems.push(`only ${tally.liveGranted} of ${tally.live} live keys granted`);
    if (standby !== null && !failedOver) problems.push('the standby was not promoted');
  }
  console.log(
    problems.length === 0
      ? `guarantee: ${tally.asked} questions after ${tally.confirmed} confirmed revocations, none wrongly allowed`
      : `guarantee: FAILED: ${problems.join('; ')}`,
  );
  process.exitCode = problems.length === 0 ? 0 : 1;
} finally {
  await standby?.destroy();
  await primary.destroy();
}
// Sockets that were made half-open on purpose would keep the process waiting for peers that are gone.
process.exit();
