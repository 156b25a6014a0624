import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { FleetChildOptions, FleetChildReport } from './fleet-child.js';

/** Sidecars in a few processes. */
export class Fleet {
  private constructor(private readonly children: readonly ChildProcess[]) {}

  /** Starts so many sidecars in at most `processes` processes; resolves when each holds a lease. */
  static async start(options: FleetChildOptions, processes: number): Promise<Fleet> {
    const count = Math.min(processes, options.sidecars);
    const children = Array.from({ length: count }, (_, index) => {
      const sidecars = Math.floor((options.sidecars + index) / count);
      return fork(
        fileURLToPath(new URL('./fleet-child.ts', import.meta.url)),
        [JSON.stringify({ ...options, sidecars })],
        {
          execArgv: ['--import', 'tsx'],
          stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
        },
      );
    });
    await Promise.all(
      children.map((child) =>
        Promise.race([
          once(child, 'message'),
          once(child, 'exit').then(() => {
            throw new Error('a process of the fleet ended while it started');
          }),
        ]),
      ),
    );
    return new Fleet(children);
  }

  /** What all of them did since they were started. */
  async report(): Promise<FleetChildReport> {
    const reports = await Promise.all(
      this.children.map(async (child) => {
        const answer = once(child, 'message');
        child.send('report');
        return (await answer)[0] as FleetChildReport;
      }),
    );
    return {
      renewed: reports.reduce((sum, { renewed }) => sum + renewed, 0),
      decisions: reports.reduce((sum, { decisions }) => sum + decisions, 0),
    };
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.children.map(async (child) => {
        const ended = once(child, 'exit');
        child.send('stop');
        const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
        await ended;
        clearTimeout(timer);
      }),
    );
  }
}
