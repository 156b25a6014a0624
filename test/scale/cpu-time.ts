import { readdir, readFile } from 'node:fs/promises';

/** Clock ticks a second of /proc/<pid>/stat on Linux. */
const TICKS_PER_SECOND = 100;

/** CPU time in s that a process and its children have used, those that have ended included. Linux only. */
export async function cpuTimeOf(pid: number): Promise<number> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const stats = await Promise.all(pids.map((each) => readFile(`/proc/${each}/stat`, 'utf8').catch(() => '')));
  let ticks = 0;
  for (const [index, stat] of stats.entries()) {
    // The name in brackets may hold anything, spaces too.
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [, parent] = fields;
    const [user = 0, system = 0, childUser = 0, childSystem = 0] = fields.slice(11, 15);
    if (Number(pids[index]) === pid) ticks += user + system + childUser + childSystem;
    else if (parent === pid) ticks += user + system;
  }
  return ticks / TICKS_PER_SECOND;
}

/** CPU time in s that the whole machine has spent on anything but waiting. Linux only. */
export async function cpuTimeOfMachine(): Promise<number> {
  const [line = ''] = (await readFile('/proc/stat', 'utf8')).split('\n');
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}
