import type { PermissionBit } from './permissions.js';

/** What a method acts on: one workflow that the request must name, one that it may name, or the account itself. */
export type MethodTarget = 'workflow' | 'optional' | 'account';

/** One row of the method catalogue. */
export interface MethodEntry {
  /** Canonical name, e.g. `nodes.getOutput`. */
  readonly name: string;
  /** The permission that a key must hold to call the method. */
  readonly permission: PermissionBit;
  readonly target: MethodTarget;
  /** Whether a published app's key may call it. */
  readonly apps: boolean;
  /** Whether a scoped key may call it without naming a workflow. */
  readonly scopedWithoutWorkflow: boolean;
}
