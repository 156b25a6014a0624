/**
 * The rules that keep stale answers out, each with a switch.
 *
 * Tests turn one off to show that they would notice its absence; a constructor takes a set of them as an optional last
 * argument. Nothing in the configuration reaches these switches.
 */
export interface Protections {
  /** Answer from memory only under a lease that is valid after the request arrived. */
  readonly leaseCheck: boolean;
  /** Wait until the lease of a sidecar that has not acknowledged is over. */
  readonly waitOut: boolean;
  /** End a lease earlier, and wait longer for it, than its nominal length. */
  readonly margin: boolean;
  /** Store an answer, or share it with a later request, only if one lease was held from the read's send to its use. */
  readonly fillGuard: boolean;
  /** Let an event spoil the reads of its key that are in flight. */
  readonly taint: boolean;
  /** Without a lease, join only reads that have not been sent. */
  readonly joinRule: boolean;
  /** Apply an event to every cache before acknowledging it. */
  readonly acknowledgementOrder: boolean;
  /** Read the events of a gap before acknowledging anything after it. */
  readonly gapRead: boolean;
  /** Compare tokens, so that another history with the same numbers is noticed. */
  readonly tokenCheck: boolean;
  /** Begin a barrier's wait only after the list of sidecars has arrived. */
  readonly waitAfterRead: boolean;
}

/** Everything on: what the product runs with. */
export const ALL_PROTECTIONS: Protections = Object.freeze({
  leaseCheck: true,
  waitOut: true,
  margin: true,
  fillGuard: true,
  taint: true,
  joinRule: true,
  acknowledgementOrder: true,
  gapRead: true,
  tokenCheck: true,
  waitAfterRead: true,
});
