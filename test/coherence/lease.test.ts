import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { type LeaseAction, LeaseMachine, type LeaseOptions } from '../../src/coherence/lease.js';
import { CLOCK_JUMP_TOLERANCE_MS, sidecarMarginMs } from '../../src/coherence/margins.js';
import type { HistoryReading } from '../../src/ports/history.js';
import { NO_LEASE } from '../../src/ports/lease.js';
import { ALL_PROTECTIONS } from '../../src/ports/protections.js';
import { event, position, reading } from './history-fakes.js';

const LEASE_MS = 3_000;
const USABLE_MS = LEASE_MS - sidecarMarginMs(LEASE_MS);

type Kind = LeaseAction['kind'];
type ActionOf<K extends Kind> = Extract<LeaseAction, { kind: K }>;

/** A machine with its clocks, whose actions are kept to be answered. */
class Bench {
  monotonicMs = 50_000;
  wallMs = 1_900_000_000_000;
  private readonly actions: LeaseAction[] = [];
  private cleared = 0;
  readonly machine: LeaseMachine;

  constructor(options: Partial<LeaseOptions> = {}) {
    let ids = 0;
    this.machine = new LeaseMachine({
      leaseMs: LEASE_MS,
      lossMs: 0,
      nextId: () => `id-${++ids}`,
      random: () => 1,
      readLimit: 100,
      ...options,
    });
  }

  advance(ms: number): this {
    this.monotonicMs += ms;
    this.wallMs += ms;
    return this;
  }

  get now() {
    return { monotonicMs: this.monotonicMs, wallMs: this.wallMs };
  }

  get held() {
    return this.machine.held(this.monotonicMs, this.wallMs);
  }

  get heldOnLoss() {
    return this.machine.heldOnLoss(this.monotonicMs, this.wallMs);
  }

  did(actions: readonly LeaseAction[]): this {
    this.actions.push(...actions);
    return this;
  }

  tick(): this {
    return this.did(this.machine.tick(this.now));
  }

  /** The newest action of a kind. */
  last<K extends Kind>(kind: K): ActionOf<K> {
    const action = this.actions.findLast((candidate) => candidate.kind === kind);
    if (action === undefined) throw new Error(`no action ${kind}`);
    return action as ActionOf<K>;
  }

  /** The actions since {@link clear}. */
  get fresh(): readonly LeaseAction[] {
    return this.actions.slice(this.cleared);
  }

  kinds(): Kind[] {
    return this.fresh.map(({ kind }) => kind);
  }

  clear(): this {
    this.cleared = this.actions.length;
    return this;
  }

  registered(): this {
    return this.did(this.machine.registeredRow(this.last('register').call, this.now));
  }

  renewed(updated = true): this {
    return this.did(this.machine.renewedRow(this.last('renew').call, updated, this.now));
  }

  answeredRead(seen: HistoryReading): this {
    return this.did(this.machine.readHistory(this.last('read').call, seen, this.now));
  }

  acknowledged(accepted = true): this {
    return this.did(this.machine.acknowledged(this.last('acknowledge').call, accepted, this.now));
  }

  failed(kind: 'register' | 'renew' | 'read' | 'acknowledge'): this {
    return this.did(this.machine.failed(this.last(kind).call, this.now));
  }

  hint(): this {
    return this.did(this.machine.hint(this.now));
  }

  /** Until the first lease, at head `head`, acknowledged; every answer at once. */
  leased(head = 5): this {
    return this.tick().registered().answeredRead(reading(null, head)).acknowledged();
  }

  /** To the next renewal's step 1. */
  due(): this {
    this.advance(Math.max(0, this.machine.dueAtMs - this.monotonicMs));
    return this.tick();
  }
}

let bench: Bench;
beforeEach(() => {
  bench = new Bench();
});

describe('a lease', () => {
  it('is held once the row is registered and the history was read after that, and not before', () => {
    expect(bench.held).toBe(NO_LEASE);
    bench.tick();
    expect(bench.kinds()).toEqual(['register']);
    expect(bench.held).toBe(NO_LEASE);
    bench.registered();
    expect(bench.kinds()).toEqual(['register', 'read']);
    expect(bench.held).toBe(NO_LEASE);
    bench.answeredRead(reading(null, 5));
    expect(bench.held).not.toBe(NO_LEASE);
    expect(bench.last('acknowledge')).toMatchObject({ sidecarId: 'id-1', position: position(5) });
    expect(bench.machine.appliedSequence).toBe(5n);
  });

  it('counts from before step 1 was sent, and ends a margin early', () => {
    bench.tick().advance(700).registered().advance(300).answeredRead(reading(null, 5));
    bench.advance(USABLE_MS - 1_000 - 0.001);
    expect(bench.held).not.toBe(NO_LEASE);
    bench.advance(0.001);
    expect(bench.held).toBe(NO_LEASE);
  });

  it('is not given by answers that come when it would be over', () => {
    bench.tick().registered().advance(USABLE_MS).answeredRead(reading(null, 5));
    expect(bench.held).toBe(NO_LEASE);
    expect(bench.last('report')).toMatchObject({ outcome: 'failed' });
  });

  it('is renewed every third of its length, by attempts whose numbers grow', () => {
    bench.leased();
    expect(bench.machine.dueAtMs).toBe(bench.monotonicMs + LEASE_MS / 3);
    bench.due();
    expect(bench.last('renew').renewal).toEqual({
      sidecarId: 'id-1',
      attempt: 2,
      leaseMs: LEASE_MS,
      position: position(5),
    });
    bench.failed('renew').due();
    expect(bench.last('renew').renewal.attempt).toBe(3);
  });

  it('keeps its token over a renewal and gets another after a lapse', () => {
    const first = bench.leased().held;
    bench.due().renewed().answeredRead(reading(5, 5));
    expect(bench.held).toBe(first);
    bench.advance(USABLE_MS);
    expect(bench.held).toBe(NO_LEASE);
    bench.tick().renewed().answeredRead(reading(5, 5));
    expect(bench.held).not.toBe(NO_LEASE);
    expect(bench.held).not.toBe(first);
  });

  it('gets another token after a lapse that nobody looked at', () => {
    const first = bench.leased().held;
    bench.advance(USABLE_MS).tick().renewed().answeredRead(reading(5, 5));
    expect(bench.held).not.toBe(first);
  });

  it('is prolonged only after the events that the reading brought were applied', () => {
    bench.leased().due().renewed().clear().answeredRead(reading(5, 7));
    expect(bench.kinds()).toEqual(['apply', 'apply', 'report', 'acknowledge']);
    expect(bench.fresh.slice(0, 2)).toEqual([
      { kind: 'apply', event: event(6) },
      { kind: 'apply', event: event(7) },
    ]);
  });

  it('ends with a reading of the clock that is not a number', () => {
    bench.leased();
    expect(bench.machine.held(Number.NaN, bench.wallMs)).toBe(NO_LEASE);
    expect(bench.machine.held(bench.monotonicMs, Number.NaN)).toBe(NO_LEASE);
  });

  it.each([3_600_000, -3_600_000, CLOCK_JUMP_TOLERANCE_MS + 1, -CLOCK_JUMP_TOLERANCE_MS - 1])(
    'ends, for good, when the wall clock moves by %d ms against the monotonic one',
    (ms) => {
      bench.leased();
      bench.wallMs += ms;
      expect(bench.held).toBe(NO_LEASE);
      bench.wallMs -= ms;
      expect(bench.held).toBe(NO_LEASE);
      expect(bench.machine.dueAtMs).toBeLessThanOrEqual(bench.monotonicMs);
    },
  );

  it('bears with a movement that its margin covers', () => {
    bench.leased();
    bench.wallMs += CLOCK_JUMP_TOLERANCE_MS;
    expect(bench.held).not.toBe(NO_LEASE);
  });

  it('is not given by an attempt during which the machine slept', () => {
    bench.tick().registered();
    bench.wallMs += 10_000;
    bench.answeredRead(reading(null, 5));
    expect(bench.held).toBe(NO_LEASE);
  });

  it('works at system times before 1970', () => {
    bench.wallMs = -86_400_000;
    expect(bench.leased().held).not.toBe(NO_LEASE);
  });
});

describe('memory on database loss', () => {
  it('lasts no longer than the lease when it is not asked for', () => {
    bench.leased().advance(USABLE_MS);
    expect(bench.heldOnLoss).toBe(NO_LEASE);
  });

  it('lasts as long as configured, less margin, and revokers are told so', () => {
    bench = new Bench({ lossMs: 10_000 }).leased();
    expect(bench.last('register').renewal.leaseMs).toBe(LEASE_MS + 10_000);
    bench.advance(USABLE_MS);
    expect(bench.held).toBe(NO_LEASE);
    expect(bench.heldOnLoss).not.toBe(NO_LEASE);
    const endMs = LEASE_MS + 10_000 - sidecarMarginMs(LEASE_MS + 10_000);
    bench.advance(endMs - USABLE_MS - 1);
    expect(bench.heldOnLoss).not.toBe(NO_LEASE);
    bench.advance(1.001);
    expect(bench.heldOnLoss).toBe(NO_LEASE);
  });

  it('ends with a start over, and with a jump of the clock', () => {
    bench = new Bench({ lossMs: 10_000 }).leased().due().renewed(false);
    expect(bench.heldOnLoss).toBe(NO_LEASE);
    bench = new Bench({ lossMs: 10_000 }).leased();
    bench.wallMs += 1_000;
    expect(bench.heldOnLoss).toBe(NO_LEASE);
  });
});

describe('answers', () => {
  it('count for their own attempt only', () => {
    bench.leased().due();
    const abandoned = bench.last('renew').call;
    bench.advance(LEASE_MS).tick();
    expect(bench.last('report')).toMatchObject({ outcome: 'failed' });
    bench.due().clear();
    expect(bench.machine.renewedRow(abandoned, true, bench.now)).toEqual([]);
    expect(bench.machine.renewedRow(abandoned, false, bench.now)).toEqual([]);
    expect(bench.machine.readHistory(abandoned, reading(5, 9), bench.now)).toEqual([]);
    expect(bench.held).toBe(NO_LEASE);
  });

  it('of an abandoned attempt’s reading apply nothing and give nothing', () => {
    bench.leased().due().renewed();
    const abandoned = bench.last('read').call;
    bench.failed('read').clear();
    expect(bench.machine.readHistory(abandoned, reading(5, 9), bench.now)).toEqual([]);
    expect(bench.machine.appliedSequence).toBe(5n);
  });

  it('that fail are tried again, later each time, within a third of a lease', () => {
    bench.leased();
    const delays: number[] = [];
    for (let i = 0; i < 8; i++) {
      bench.due().failed('renew');
      delays.push(bench.machine.dueAtMs - bench.monotonicMs);
    }
    expect(delays).toEqual([50, 100, 200, 400, 800, 1_000, 1_000, 1_000]);
  });

  it('after a stop change nothing', () => {
    bench.leased().due();
    bench.did(bench.machine.stop()).clear();
    bench.renewed().tick().hint();
    expect(bench.fresh).toEqual([]);
    expect(bench.held).toBe(NO_LEASE);
  });
});

describe('a start over', () => {
  const startsOver = () => {
    expect(bench.kinds()).toEqual(expect.arrayContaining(['forget-all', 'deregister', 'report']));
    expect(bench.last('report').outcome).toBe('start_over');
    expect(bench.last('deregister').sidecarId).toBe('id-1');
    expect(bench.held).toBe(NO_LEASE);
    expect(bench.machine.sidecarId).toBe('');
    bench.due();
    expect(bench.last('register').renewal).toEqual({
      sidecarId: 'id-2',
      attempt: 1,
      leaseMs: LEASE_MS,
      position: null,
    });
  };

  it('follows when the row is gone', () => {
    bench.leased().due().clear().renewed(false);
    startsOver();
  });

  it('follows when the history changed', () => {
    bench
      .leased()
      .due()
      .renewed()
      .clear()
      .answeredRead(reading(5, 7, { tokenAtPosition: 'b5' }));
    startsOver();
  });

  it('follows when the server’s line of history changed, though numbers and tokens fit', () => {
    bench
      .leased()
      .due()
      .renewed()
      .clear()
      .answeredRead(reading(5, 5, { lineage: 'line-2' }));
    startsOver();
  });

  it('follows when a hinted reading shows another history', () => {
    bench
      .leased()
      .hint()
      .clear()
      .answeredRead(reading(5, 8, { tokenAtPosition: null }));
    startsOver();
  });

  it('follows when the history does not know what was acknowledged', () => {
    bench.leased().hint().answeredRead(reading(5, 6)).clear().acknowledged(false);
    startsOver();
  });

  it('gives the next lease another token', () => {
    const first = bench.leased().held;
    bench.due().renewed(false).due().registered().answeredRead(reading(null, 9));
    expect(bench.held).not.toBe(NO_LEASE);
    expect(bench.held).not.toBe(first);
  });

  it('takes no answer to calls of the incarnation before', () => {
    bench.leased().hint();
    const before = bench.last('read').call;
    bench.due().renewed(false).due().clear();
    expect(bench.machine.readHistory(before, reading(5, 8), bench.now)).toEqual([]);
    expect(bench.machine.appliedSequence).toBe(-1n);
  });
});

describe('a registration whose outcome is unknown', () => {
  it('is not built upon: another id is tried, and the first one’s row deleted once that works', () => {
    bench.tick().failed('register').due();
    expect(bench.last('register').renewal).toMatchObject({ sidecarId: 'id-2', attempt: 1 });
    expect(bench.kinds()).not.toContain('deregister');
    bench.registered();
    expect(bench.last('deregister').sidecarId).toBe('id-1');
  });

  it('is remembered for sixteen tries at most', () => {
    bench.tick();
    for (let i = 0; i < 40; i++) bench.failed('register').due();
    bench.registered();
    expect(bench.kinds().filter((kind) => kind === 'deregister')).toHaveLength(16);
  });

  it('leaves a row that a stop deletes', () => {
    bench.tick().failed('register').clear();
    bench.did(bench.machine.stop());
    expect(bench.last('deregister').sidecarId).toBe('id-1');
  });
});

describe('a hint', () => {
  it('reads at once, applies before it acknowledges, and prolongs nothing', () => {
    bench.leased().advance(500).clear().hint();
    expect(bench.kinds()).toEqual(['read']);
    bench.clear().answeredRead(reading(5, 7));
    expect(bench.kinds()).toEqual(['apply', 'apply', 'acknowledge']);
    bench.advance(USABLE_MS - 500);
    expect(bench.held).toBe(NO_LEASE);
  });

  it('during a reading is followed by one more, however many there were', () => {
    bench.leased().hint().clear().hint().hint().hint();
    expect(bench.fresh).toEqual([]);
    bench.answeredRead(reading(5, 5));
    expect(bench.kinds()).toEqual(['read']);
  });

  it('during a reading that fails is not lost', () => {
    bench.leased().hint().hint().clear().failed('read');
    expect(bench.kinds()).toEqual(['read']);
    bench.clear().failed('read');
    expect(bench.fresh).toEqual([]);
    bench.due().renewed().hint().clear().failed('read');
    expect(bench.kinds()).toEqual(['report', 'read']);
  });

  it('is superseded by a renewal’s reading: what it brings later is older', () => {
    bench.leased().due().hint();
    const hinted = bench.last('read').call;
    bench.renewed().answeredRead(reading(5, 8)).clear();
    expect(bench.machine.readHistory(hinted, reading(5, 6), bench.now)).toEqual([]);
    expect(bench.machine.appliedSequence).toBe(8n);
  });

  it('before anything was read does nothing', () => {
    bench.tick().clear().hint();
    expect(bench.fresh).toEqual([]);
  });
});

describe('an acknowledgement', () => {
  it('is sent one at a time, for the newest position', () => {
    bench.tick().registered().answeredRead(reading(null, 5)).clear();
    bench.hint().answeredRead(reading(5, 6)).hint().answeredRead(reading(6, 7));
    expect(bench.kinds()).not.toContain('acknowledge');
    expect(bench.machine.appliedSequence).toBe(7n);
  });

  it('follows another for what was applied meanwhile', () => {
    bench.tick().registered().answeredRead(reading(null, 5)).hint().answeredRead(reading(5, 6));
    bench.acknowledged();
    expect(bench.last('acknowledge').position).toEqual(position(6));
  });

  it('that fails is made good by the next renewal', () => {
    bench.leased().hint().answeredRead(reading(5, 6)).failed('acknowledge').due();
    expect(bench.last('renew').renewal.position).toEqual(position(6));
    bench.renewed().clear().answeredRead(reading(6, 6));
    expect(bench.kinds()).not.toContain('acknowledge');
  });
});

describe('a stop', () => {
  it('gives up the lease and forgets before it lets go of the row', () => {
    bench.leased().clear();
    bench.did(bench.machine.stop());
    expect(bench.kinds()).toEqual(['forget-all', 'deregister']);
    expect(bench.held).toBe(NO_LEASE);
    expect(bench.machine.stop()).toEqual([]);
  });
});

describe('staleness', () => {
  it('is bounded by when the newest applied reading was sent', () => {
    expect(bench.machine.freshSinceMs).toBe(Number.NEGATIVE_INFINITY);
    bench.tick().advance(10).registered();
    const sentMs = bench.monotonicMs;
    bench.advance(40).answeredRead(reading(null, 5)).acknowledged();
    expect(bench.machine.freshSinceMs).toBe(sentMs);
    bench.advance(100).hint();
    expect(bench.machine.freshSinceMs).toBe(sentMs);
    bench.advance(5).answeredRead(reading(5, 5));
    expect(bench.machine.freshSinceMs).toBe(sentMs + 140);
  });
});

describe('whatever is answered, in whatever order, and whenever', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 1_500 }) }),
    fc.record({ kind: fc.constant('answer' as const), which: fc.nat(3), ok: fc.boolean(), more: fc.nat(2) }),
    fc.record({ kind: fc.constant('hint' as const) }),
    fc.record({ kind: fc.constant('sleep' as const), ms: fc.integer({ min: 0, max: 400 }) }),
  );

  it('no lease outlives the attempt that gave it, and nothing is acknowledged before it was applied', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const subject = new Bench();
        const open: LeaseAction[] = [];
        let head = 3;
        let appliedTo = -1;
        let writtenAtMs = 0;
        let leaseFromMs = Number.NEGATIVE_INFINITY;
        const take = (actions: readonly LeaseAction[]) => {
          for (const action of actions) {
            if (action.kind === 'register' || action.kind === 'renew') writtenAtMs = subject.monotonicMs;
            if (action.kind === 'apply') {
              expect(Number(action.event.sequence)).toBe(appliedTo + 1);
              appliedTo += 1;
            }
            if (action.kind === 'forget-all') appliedTo = -1;
            if (action.kind === 'acknowledge') expect(Number(action.position.sequence)).toBeLessThanOrEqual(appliedTo);
            if (action.kind === 'report' && action.outcome === 'renewed') leaseFromMs = writtenAtMs;
            if ('call' in action) open.push(action);
          }
        };
        for (const next of steps) {
          take(subject.machine.tick(subject.now));
          if (next.kind === 'advance') subject.advance(next.ms);
          else if (next.kind === 'sleep') subject.wallMs += next.ms;
          else if (next.kind === 'hint') take(subject.machine.hint(subject.now));
          else {
            // Any open call, so that old ones are answered late and out of order.
            const [action] = open.splice(next.which % Math.max(1, open.length), 1);
            if (action === undefined) continue;
            head += next.more;
            if (!next.ok && 'call' in action) take(subject.machine.failed(action.call, subject.now));
            else if (action.kind === 'register') take(subject.machine.registeredRow(action.call, subject.now));
            else if (action.kind === 'renew') take(subject.machine.renewedRow(action.call, true, subject.now));
            else if (action.kind === 'acknowledge') take(subject.machine.acknowledged(action.call, true, subject.now));
            else if (action.kind === 'read') {
              const after = action.after === null ? null : Number(action.after.sequence);
              // A first reading brings no events: the head it shows counts as applied.
              if (after === null && subject.machine.appliedSequence === -1n) appliedTo = head;
              take(subject.machine.readHistory(action.call, reading(after, head), subject.now));
              if (subject.machine.appliedSequence === -1n) appliedTo = -1;
            }
          }
          if (subject.held !== NO_LEASE) {
            expect(subject.monotonicMs).toBeLessThan(leaseFromMs + USABLE_MS);
            expect(Number(subject.machine.appliedSequence)).toBe(appliedTo);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('the switches', () => {
  it('take away the lease check and the margin, and nothing else takes them away', () => {
    const unchecked = new Bench({ protections: { ...ALL_PROTECTIONS, leaseCheck: false } }).leased().advance(1e9);
    expect(unchecked.held).not.toBe(NO_LEASE);
    const unspared = new Bench({ protections: { ...ALL_PROTECTIONS, margin: false } }).leased().advance(LEASE_MS - 1);
    expect(unspared.held).not.toBe(NO_LEASE);
    expect(bench.leased().advance(LEASE_MS - 1).held).toBe(NO_LEASE);
  });

  it('let acknowledgements go before what they acknowledge', () => {
    const early = new Bench({ protections: { ...ALL_PROTECTIONS, acknowledgementOrder: false } }).leased();
    early.hint().clear().answeredRead(reading(5, 6));
    expect(early.kinds()).toEqual(['acknowledge']);
    early.acknowledged();
    expect(early.kinds()).toEqual(['acknowledge', 'apply']);
  });
});
