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
  const healthy = sidecars.filter((sidecar) => !sidecar.impaired && !sidecar.unconfirming);
  // One sidecar at least stays whole, so that revocations can be confirmed at all.
  return healthy.length > 1 ? healthy[Math.floor(random() * healthy.length)] : undefined;
}

/** Answers to look-ups come late: reads are in flight while their keys are revoked. */
export const SLOW_LOOKUPS: Fault = {
  name: 'answers to look-ups late',
  weight: 2,
  async inject(targets) {
    const sidecar = victim(targets);
    if (sidecar === undefined) return;
    sidecar.queries.delayAnswers('latchkey', 30 + 200 * targets.random());
    await targets.sleep(targets.leaseMs * (0.5 + targets.random()));
    sidecar.queries.delayAnswers('latchkey', 0);
  },
};

/** Answers to renewals and acknowledgements come late. */
export const SLOW_COHERENCE: Fault = {
  name: 'answers of the coherence protocol late',
  weight: 2,
  async inject(targets) {
    const sidecar = victim(targets);
    if (sidecar === undefined) return;
    sidecar.queries.delayAnswers('latchkey-coherence', 30 + 200 * targets.random());
    await targets.sleep(targets.leaseMs * (0.5 + targets.random()));
    sidecar.queries.delayAnswers('latchkey-coherence', 0);
  },
};

/** No lease, while look-ups work but are slow: what a request may join is what matters. */
export const NO_LEASE_AND_SLOW_LOOKUPS: Fault = {
  name: 'coherence connections half-open, answers to look-ups late',
  weight: 1,
  async inject(targets) {
    const sidecar = victim(targets);
    if (sidecar === undefined) return;
    sidecar.unconfirming = true;
    sidecar.queries.setBroken('latchkey-coherence', true);
    sidecar.queries.delayAnswers('latchkey', 400);
    await targets.sleep(targets.leaseMs * 4);
    sidecar.unconfirming = false;
    sidecar.queries.setBroken('latchkey-coherence', false);
    sidecar.queries.delayAnswers('latchkey', 0);
  },
};

/** Events vanish before a sidecar that hears no notification has read them. */
export const EVENTS_DELETED: Fault = {
  name: 'LISTEN half-open, events deleted by hand',
  weight: 1,
  async inject(targets) {
    const sidecar = victim(targets);
    if (sidecar === undefined) return;
    sidecar.listen.setMode('half-open');
    for (let round = 0; round < 20; round++) {
      await targets.sleep(targets.leaseMs / 20);
      await targets.sql('DELETE FROM latchkey.events WHERE sequence < (SELECT sequence FROM latchkey.head)');
    }
    sidecar.listen.setMode('pass');
  },
};

/** Everything that goes wrong in a run, in random order. */
export const FAULTS: readonly Fault[] = [
  SLOW_LOOKUPS,
  SLOW_COHERENCE,
  NO_LEASE_AND_SLOW_LOOKUPS,
  EVENTS_DELETED,
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
      // Its database may be out of reach just now: a supervisor would start it again, and again.
      for (let attempt = 1; ; attempt++) {
        try {
          await sidecar.launch();
          return;
        } catch (error) {
          if (attempt === 10) throw error;
        }
      }
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
