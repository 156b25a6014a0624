import type { Sidecar } from './sidecar.js';

/** What a fault may touch. */
export interface FaultTargets {
  readonly sidecars: readonly Sidecar[];
  readonly leaseMs: number;
  /** Runs SQL as the superuser, past every proxy. */
  readonly sql: (text: string) => Promise<unknown>;
  readonly restartDatabase: (mode: 'fast' | 'immediate') => Promise<void>;
  readonly random: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

/** One kind of fault: does its harm and undoes it. */
export interface Fault {
  readonly name: string;
  /** How often, next to the others. */
  readonly weight: number;
  inject(targets: FaultTargets): Promise<void>;
}

function victim({ sidecars, random }: FaultTargets): Sidecar | undefined {
  const healthy = sidecars.filter((sidecar) => !sidecar.impaired);
  // One sidecar at least stays whole, so that revocations can be confirmed at all.
  return healthy.length > 1 ? healthy[Math.floor(random() * healthy.length)] : undefined;
}

/** Everything that goes wrong in a run, in random order. */
export const FAULTS: readonly Fault[] = [
  {
    name: 'sidecar stopped (SIGSTOP) and continued',
    weight: 4,
    async inject(targets) {
      const sidecar = victim(targets);
      if (sidecar === undefined) return;
      sidecar.pause();
      await targets.sleep(targets.leaseMs * (0.2 + 1.6 * targets.random()));
      sidecar.resume();
    },
  },
  {
    name: 'sidecar killed (SIGKILL) and started again',
    weight: 1,
    async inject(targets) {
      const sidecar = victim(targets);
      if (sidecar === undefined) return;
      await sidecar.kill();
      await targets.sleep(targets.leaseMs * 0.5 * targets.random());
      await sidecar.launch();
    },
  },
  {
    name: 'LISTEN backends terminated',
    weight: 2,
    async inject({ sql }) {
      await sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'latchkey-listen'`);
    },
  },
  {
    name: 'LISTEN connection half-open',
    weight: 3,
    async inject(targets) {
      const sidecar = victim(targets);
      if (sidecar === undefined) return;
      sidecar.listen.setMode('half-open');
      await targets.sleep(targets.leaseMs * (0.5 + 2 * targets.random()));
      sidecar.listen.setMode('pass');
    },
  },
  {
    name: 'database connections half-open',
    weight: 3,
    async inject(targets) {
      const sidecar = victim(targets);
      if (sidecar === undefined) return;
      sidecar.queries.setMode('half-open');
      await targets.sleep(targets.leaseMs * (0.3 + 1.7 * targets.random()));
      sidecar.queries.setMode('pass');
    },
  },
  {
    name: 'partition of one sidecar from the database',
    weight: 2,
    async inject(targets) {
      const sidecar = victim(targets);
      if (sidecar === undefined) return;
      sidecar.queries.setMode('half-open');
      sidecar.listen.setMode('half-open');
      await targets.sleep(targets.leaseMs * (0.5 + 1.5 * targets.random()));
      sidecar.queries.setMode('pass');
      sidecar.listen.setMode('pass');
    },
  },
  {
    name: 'all connections of one sidecar reset',
    weight: 2,
    async inject(targets) {
      victim(targets)?.queries.cutAll();
    },
  },
  {
    name: 'connection cut between COMMIT and its answer',
    weight: 3,
    async inject(targets) {
      victim(targets)?.queries.cutAfterNextCommit();
    },
  },
  {
    name: 'database restarted (fast)',
    weight: 0.3,
    inject: ({ restartDatabase }) => restartDatabase('fast'),
  },
  {
    name: 'database crashed (immediate) and recovered',
    weight: 0.3,
    inject: ({ restartDatabase }) => restartDatabase('immediate'),
  },
];
