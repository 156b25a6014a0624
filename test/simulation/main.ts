import { ALL_PROTECTIONS } from '../../src/ports/protections.js';
import { runSchedule } from './run-schedule.js';
const n = Number(process.argv[2] ?? 100),
  from = Number(process.argv[3] ?? 1);
const off = process.argv[4];
const prot = off ? { ...ALL_PROTECTIONS, [off]: false } : ALL_PROTECTIONS;
const t0 = performance.now();
let bad = 0;
const total: Record<string, number> = {};
for (let s = from; s < from + n; s++) {
  const r = await runSchedule(s, prot, process.argv[5] === 'trace');
  for (const [k, v] of Object.entries(r.counts)) total[k] = (total[k] ?? 0) + v;
  if (r.violations.length > 0) {
    bad++;
    if (bad <= 3) {
      console.log(s, r.violations.slice(0, 4));
      if (process.argv[5] === 'trace') console.log(r.trace.join('\n'));
    }
  }
}
console.log({ bad, ms: performance.now() - t0, total });
