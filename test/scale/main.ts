import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { silentLogger } from '../../src/ports/logger.js';
import { migrate } from '../../src/store/postgres/migrate.js';
import { PostgresServer } from '../support/postgres-server.js';
import { calculate, calibrate } from './calculate.js';
import { cpuTimeOf, cpuTimeOfMachine } from './cpu-time.js';
import { withFigures } from './figures.js';
import { type FleetMeasured, measureFleet, summaryOf } from './measure.js';
import { plotConfirmations, plotScale } from './plot.js';

const USAGE = `Measures fleets of sidecars on a PostgreSQL of its own: renewals, CPU, and how long revocations take to be confirmed, idle
and with decisions on every sidecar. Calculates from that what larger fleets cost.

  npm run scale -- [options]

  --sidecars N,…      sizes of the fleets (1,8,32,64)
  --loads SHARE,…     share of a core that each sidecar is busy deciding (0,0.7)
  --revocations N     how many, for each fleet (300)
  --lease-ms MS       length of a lease (3000)
  --write             replace docs/scale.json, the figures in docs/scale.md and the plots in docs/images`;

const { values } = parseArgs({
  options: {
    sidecars: { type: 'string', default: '1,8,32,64' },
    loads: { type: 'string', default: '0,0.7' },
    revocations: { type: 'string', default: '300' },
    'lease-ms': { type: 'string', default: '3000' },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit();
}

const SIZES = [1, 8, 32, 64, 100, 300, 1_000, 3_000, 10_000] as const;
const numbers = (text: string) => text.split(',').map(Number);

const server = await PostgresServer.create({ max_connections: '600', shared_buffers: '128MB' });
const measured: FleetMeasured[] = [];
const began = { atMs: performance.now(), machine: await cpuTimeOfMachine(), own: await cpuTimeOf(process.pid) };
try {
  await migrate({ url: server.url, logger: silentLogger });
  await server.query('CREATE TABLE public.bare (id int PRIMARY KEY, at timestamptz)');
  await server.query('INSERT INTO public.bare SELECT i, now() FROM generate_series(0, 999) AS i');
  for (const sidecars of numbers(values.sidecars)) {
    for (const load of numbers(values.loads)) {
      console.error(`measuring ${sidecars} sidecars, ${load === 0 ? 'idle' : `${load * 100} % busy deciding`}`);
      const fleet = await measureFleet(server, {
        sidecars,
        load,
        leaseMs: Number(values['lease-ms']),
        revocations: Number(values.revocations),
        calmS: 9,
      });
      measured.push(fleet);
      console.error(JSON.stringify(summaryOf(fleet)));
    }
  }
} finally {
  await server.destroy();
}

// Everything of the test has ended, and is counted with this process.
const ownS = (await cpuTimeOf(process.pid)) - began.own;
const othersS = (await cpuTimeOfMachine()) - began.machine - ownS;
const costs = calibrate(measured);
const calculated = SIZES.map((sidecars) => calculate(costs, sidecars, Number(values['lease-ms'])));
const conditions = {
  at: new Date().toISOString(),
  cores: cpus().length,
  cpu: cpus()[0]?.model ?? '',
  node: process.version,
  /** Cores that programs other than the test used meanwhile, on average. */
  coresOfOthers: (othersS * 1_000) / (performance.now() - began.atMs),
  revocationsEach: Number(values.revocations),
};
const report = { conditions, measured: measured.map(summaryOf), costs, calculated };
console.log(JSON.stringify(report, null, 2));
if (values.write) {
  const { at, cores, cpu, node, coresOfOthers, revocationsEach } = conditions;
  const machine = `${cores} cores (${cpu}), Node.js ${node}, PostgreSQL with fsync, lease ${values['lease-ms']} ms`;
  const caption = `${machine}, ${revocationsEach} revocations each`;
  const summaries = measured.map(summaryOf);
  await writeFile('docs/scale.json', `${JSON.stringify(report, null, 2)}\n`);
  await writeFile('docs/images/confirmation-times.svg', plotConfirmations(measured, caption));
  await writeFile('docs/images/scale.svg', plotScale(summaries, calculated, caption));
  const page = withFigures(await readFile('docs/scale.md', 'utf8'), {
    conditions: `Recorded ${at.slice(0, 10)}: ${caption}, everything of the test on one machine. Other programs used ${coresOfOthers.toFixed(2)} of its cores meanwhile.`,
    measured: summaries,
    costs,
    calculated,
  });
  await writeFile('docs/scale.md', page);
}
// Pools with idle connections would keep the process.
process.exit();
