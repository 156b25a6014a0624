import type { Load, Tally } from './load.js';
import type { Signals } from './monitoring.js';
import type { World } from './world.js';

/** What a scenario may do and look at while the load runs. */
export interface Stage {
  readonly world: World;
  readonly load: Load;
  /** Lasts as long as the fault should: a while, and until monitoring has noticed, within bounds. */
  hold(): Promise<void>;
  sleep(ms: number): Promise<void>;
  /** Adds a line to what is shown of the scenario. */
  note(line: string): void;
}

/** What was seen of one scenario. */
export interface Outcome {
  readonly during: Tally;
  readonly after: Tally;
  readonly signals: Signals;
  /** From the mend to every sidecar being whole again, in s; `null`: not within the patience. */
  readonly recoveredS: number | null;
  readonly wronglyAllowed: number;
  readonly unknownAfterCreation: number;
  readonly notes: readonly string[];
}

/** One fault of the game day. */
export interface Scenario {
  readonly name: string;
  /** Where it plays. Worlds of the same kind are shared by scenarios that follow one another. */
  readonly setting: Setting;
  /** Does the harm, keeps it up while `hold` lasts, and undoes it. */
  play(stage: Stage): Promise<void>;
  /** Alerts whose expression must have held at some time. */
  readonly alerts: readonly string[];
  /** What is wrong with the outcome, beyond what is wrong with any. */
  judge?(outcome: Outcome): readonly string[];
}

/** What the sidecars and their database are like. */
export type Setting = 'plain' | 'shimmed' | 'tls' | 'small disk' | 'embedded on a small disk';
