import { Permission } from '../domain/permissions.js';
import type { AuthorizationServiceClient } from '../gen/latchkey/v1/authorization_service.js';
import { Decision, Reason } from '../gen/latchkey/v1/decision.js';
import { systemTimers } from '../observability/system-timers.js';
import type { Clock } from '../ports/clock.js';
import type { Actor } from '../ports/key-registry.js';
import { pause } from '../ports/pause.js';
import type { KeyService } from '../service/keys.js';
import { call } from './ask-sidecar.js';
import { CliFailure } from './cli-failure.js';
import { ExitCode } from './exit-code.js';
import type { ProbeRecord, RoundOutcome } from './probe-record.js';

/** A sidecar that is asked. */
export interface ProbeTarget {
  readonly address: string;
  readonly client: AuthorizationServiceClient;
}

/** What a round needs. */
export interface ProbeRoundParts {
  readonly keys: Pick<KeyService, 'create' | 'revoke'>;
  readonly targets: readonly ProbeTarget[];
  readonly record: ProbeRecord;
  readonly clock: Clock;
  readonly accountId: string;
  readonly method: string;
  readonly actor: Actor;
}

/** Life of a key, ms, that a probe leaves behind because it was killed. */
const KEY_LIFE_MS = 3_600_000;
/** How long, in ms, a target that accepts a revoked key is asked again, and how often. */
const VIOLATION_WATCH_MS = 30_000;
const VIOLATION_PAUSE_MS = 5;

/** What an answer says of the key, which is judged before everything else of a call. */
interface Answer {
  /**
   * `good`: nothing is wrong with the key, but something else stands against the call. `refused`: something is wrong with
   * the key, and not that it is revoked.
   */
  readonly key: 'allowed' | 'good' | 'revoked' | 'refused' | 'undecided';
  /** As in the answer, or why there was none. */
  readonly reason: string;
}

const REASONS_ABOUT_KEYS: ReadonlySet<Reason> = new Set([
  Reason.KEY_MALFORMED,
  Reason.KEY_UNKNOWN,
  Reason.KEY_REVOKED,
  Reason.KEY_EXPIRED,
]);

/**
 * One round: a new key, accepted by every target; its revocation; and, as soon as that is confirmed, the same question
 * again. Every target must refuse the first time it is asked, because the key is revoked.
 *
 * Rejects when the key cannot be made, or its revocation not be confirmed: nothing is said about the targets then. Rejects
 * with a `CliFailure` when no round can show anything: a target has something against the method, whatever the key.
 */
export async function probeRound(parts: ProbeRoundParts): Promise<RoundOutcome> {
  const { keys, targets, record, clock, accountId, method, actor } = parts;
  const { key, rawKey } = await keys.create(
    accountId,
    {
      name: 'latchkey probe',
      workflowId: null,
      permissions: Permission.READ | Permission.EXECUTE | Permission.WRITE,
      expiresAtMs: clock.wallMs() + KEY_LIFE_MS,
    },
    actor,
  );
  const before = await Promise.all(
    targets.map(async (target) => ({ ...(await ask(parts, target, rawKey)), address: target.address })),
  );
  const refusedBefore = new Set<string>();
  for (const { key: judged, address, reason } of before) {
    if (judged === 'undecided') record.found('undecided', address, reason);
    if (isRefusal(judged)) {
      record.found('wrongly_refused', address, reason);
      refusedBefore.add(address);
    }
  }

  const askedAtMs = clock.monotonicMs();
  await keys.revoke(key.id, null, actor);
  const unsuitable = before.find(({ key: judged }) => judged === 'good');
  if (unsuitable !== undefined) {
    throw new CliFailure(
      ExitCode.USAGE,
      `${unsuitable.address} refuses the method ${JSON.stringify(method)} of a good key: ${unsuitable.reason}`,
      '--method must name one that its catalogue has and that needs no workflow',
    );
  }
  record.revocationConfirmed(clock.monotonicMs() - askedAtMs);
  const after = await Promise.all(
    targets.map(async (target) => {
      const { key: judged, reason } = await ask(parts, target, rawKey);
      const { address } = target;
      const accepted = judged === 'allowed' || judged === 'good';
      if (accepted) record.found('wrongly_allowed', address, reason);
      if (judged === 'undecided') record.found('undecided', address, reason);
      // A key is counted once, though who does not know it says so both times.
      if (judged === 'refused' && !refusedBefore.has(address)) record.found('wrongly_refused', address, reason);
      // A violation is followed to its end: how long it lasts says what went wrong.
      if (isRefusal(judged) || (accepted && (await waitForRefusal(parts, target, rawKey)))) {
        record.keyRefused(address, clock.monotonicMs() - askedAtMs);
      }
      return judged;
    }),
  );
  if (refusedBefore.size > 0 || after.some((judged) => judged !== 'revoked' && judged !== 'undecided')) {
    return 'violated';
  }
  const undecided = before.some(({ key: judged }) => judged === 'undecided') || after.includes('undecided');
  return undecided ? 'incomplete' : 'ok';
}

async function ask({ method }: ProbeRoundParts, { client }: ProbeTarget, key: string): Promise<Answer> {
  try {
    const { decision, reason } = await call(client, { key, workflow: '', method });
    return { key: judgementOf(decision, reason), reason: Reason[reason] ?? `reason ${reason}` };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    // The words of OpenSSL end with line breaks.
    return { key: 'undecided', reason: reason.replace(/\s+/g, ' ') };
  }
}

function judgementOf(decision: Decision, reason: Reason): Answer['key'] {
  if (decision === Decision.ALLOW) return 'allowed';
  if (reason === Reason.KEY_REVOKED) return 'revoked';
  return REASONS_ABOUT_KEYS.has(reason) ? 'refused' : 'good';
}

function isRefusal(judged: Answer['key']): boolean {
  return judged === 'revoked' || judged === 'refused';
}

/** Asks until the target refuses; `false` when it does not in time. */
async function waitForRefusal(parts: ProbeRoundParts, target: ProbeTarget, key: string): Promise<boolean> {
  const endMs = parts.clock.monotonicMs() + VIOLATION_WATCH_MS;
  while (parts.clock.monotonicMs() < endMs) {
    if (isRefusal((await ask(parts, target, key)).key)) return true;
    await pause(systemTimers, VIOLATION_PAUSE_MS);
  }
  return false;
}
