import { Permission } from '../domain/permissions.js';
import type { AuthorizationServiceClient } from '../gen/latchkey/v1/authorization_service.js';
import { Decision } from '../gen/latchkey/v1/decision.js';
import { systemTimers } from '../observability/system-timers.js';
import type { Clock } from '../ports/clock.js';
import type { Actor } from '../ports/key-registry.js';
import { pause } from '../ports/pause.js';
import type { KeyService } from '../service/keys.js';
import { call } from './ask-sidecar.js';
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

/**
 * One round: a new key, accepted by every target; its revocation; and, as soon as that is confirmed, the same question
 * again. Every target must refuse the first time it is asked.
 *
 * Rejects when the key cannot be made, or its revocation not be confirmed: nothing is said about the targets then.
 */
export async function probeRound(parts: ProbeRoundParts): Promise<RoundOutcome> {
  const { keys, targets, record, clock, accountId, actor } = parts;
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
  const before = await Promise.all(targets.map((target) => ask(parts, target, rawKey)));
  before.forEach((decision, index) => {
    if (decision !== 'allow')
      record.found(decision === 'deny' ? 'wrongly_refused' : 'undecided', addressOf(targets, index));
  });

  const askedAtMs = clock.monotonicMs();
  await keys.revoke(key.id, null, actor);
  record.revocationConfirmed(clock.monotonicMs() - askedAtMs);
  const after = await Promise.all(
    targets.map(async (target) => {
      const first = await ask(parts, target, rawKey);
      if (first === 'allow') record.found('wrongly_allowed', target.address);
      if (first === 'undecided') record.found('undecided', target.address);
      // A violation is followed to its end: how long it lasts says what went wrong.
      if (first === 'deny' || (first === 'allow' && (await waitForRefusal(parts, target, rawKey)))) {
        record.keyRefused(target.address, clock.monotonicMs() - askedAtMs);
      }
      return first;
    }),
  );
  if (before.includes('deny') || after.includes('allow')) return 'violated';
  return before.includes('undecided') || after.includes('undecided') ? 'incomplete' : 'ok';
}

async function ask(
  { method }: ProbeRoundParts,
  { client }: ProbeTarget,
  key: string,
): Promise<'allow' | 'deny' | 'undecided'> {
  try {
    const { decision } = await call(client, { key, workflow: '', method });
    return decision === Decision.ALLOW ? 'allow' : 'deny';
  } catch {
    return 'undecided';
  }
}

/** Asks until the target refuses; `false` when it does not in time. */
async function waitForRefusal(parts: ProbeRoundParts, target: ProbeTarget, key: string): Promise<boolean> {
  const endMs = parts.clock.monotonicMs() + VIOLATION_WATCH_MS;
  while (parts.clock.monotonicMs() < endMs) {
    if ((await ask(parts, target, key)) === 'deny') return true;
    await pause(systemTimers, VIOLATION_PAUSE_MS);
  }
  return false;
}

function addressOf(targets: readonly ProbeTarget[], index: number): string {
  return targets[index]?.address ?? '';
}
