import { type ClientReadableStream, status } from '@grpc/grpc-js';
import type { WatchRevocationsResponse } from '../gen/latchkey/v1/authorization_service.js';
import { backoffMs } from './backoff.js';
import type { Endpoints } from './endpoints.js';
import { firstToAbort } from './first-to-abort.js';
import { after, pause } from './timing.js';
import { isServiceError, UndecidedError } from './undecided-error.js';

/** Options of `watchRevocations`. */
export interface WatchOptions {
  /** Begin after this sequence, as an earlier event gave it. Left out, or 0n: from now on. */
  readonly afterSequence?: bigint;
  /** Only keys of this account; left out: all. */
  readonly accountId?: string;
  /** Ends the watch when it aborts. */
  readonly signal?: AbortSignal;
}

/** What a watch tells. */
export type WatchEvent =
  /** The watch stands, and everything up to the sequence has been told. The first event; then about every 5 seconds. */
  | { readonly kind: 'heartbeat'; readonly sequence: bigint }
  /** A key died: close what its holder has open. */
  | {
      readonly kind: 'revoked';
      readonly sequence: bigint;
      readonly keyId: string;
      readonly accountId: string;
      /** Empty for a user key. */
      readonly appId: string;
      /** By the database's clock; `null` when it was not told. */
      readonly revokedAt: Date | null;
    }
  /** Revocations may have been missed: check every key that is held, now. The watch goes on after the sequence. */
  | { readonly kind: 'recheck'; readonly sequence: bigint }
  /**
   * The watch was lost, and is being resumed. Until the next event revocations are not heard of: whoever sends something
   * of its own accord to the holder of a key waits for it.
   */
  | { readonly kind: 'interrupted'; readonly sequence: bigint };

/** A server that was silent for this long, in ms, is taken for lost: three heartbeats. */
export const SILENCE_MS = 15_000;

/** Bounds of the wait before a watch is opened again, in ms. */
const RETRY_BASE_MS = 50;
const RETRY_MAX_MS = 5_000;

/** Statuses after which opening the watch again cannot help. */
const FINAL: ReadonlySet<status> = new Set([
  status.INVALID_ARGUMENT,
  status.UNIMPLEMENTED,
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
]);

/**
 * Watches revocations, resuming by itself after every interruption, until the signal aborts or the client is closed.
 *
 * Nothing is missed and nothing comes twice across an interruption; where that cannot be had, a `recheck` says so, and
 * comes once the new watch stands, so that nothing falls between. A consumer that is slow holds back the server, not its
 * own memory. Throws {@link UndecidedError} only where trying again cannot help.
 */
export async function* watchRevocations(
  endpoints: Endpoints,
  options: WatchOptions,
): AsyncGenerator<WatchEvent, void, undefined> {
  const { signal, unlink } = firstToAbort(options.signal, endpoints.closed.signal);
  const accountId = options.accountId ?? '';
  let sequence = options.afterSequence ?? 0n;
  let begun = sequence !== 0n;
  let recheck = false;
  let failures = 0;
  let standing = false;
  try {
    while (!signal.aborted) {
      // An empty history has no number to resume after: 0 means "from now on".
      if (begun && sequence === 0n) recheck = true;
      const stream = endpoints.choose(failures).stub.watchRevocations({
        afterSequence: recheck ? 0n : sequence,
        accountId,
      });
      try {
        for await (const message of heard(stream, signal)) {
          failures = 0;
          begun = true;
          standing = true;
          sequence = message.sequence;
          const event = eventOf(message);
          if (recheck) yield { kind: 'recheck', sequence };
          if (!recheck || event.kind !== 'heartbeat') yield event;
          recheck = false;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (!isServiceError(error) || FINAL.has(error.code)) throw UndecidedError.from(error);
        if (error.code === status.OUT_OF_RANGE) recheck = true;
      }
      failures++;
      if (standing && !signal.aborted) yield { kind: 'interrupted', sequence };
      standing = false;
      await pause(backoffMs(failures, RETRY_BASE_MS, RETRY_MAX_MS), signal);
    }
  } finally {
    unlink();
  }
}

/** The messages of one stream. It is cancelled when it is silent for too long, when the signal aborts and at the end. */
async function* heard(
  stream: ClientReadableStream<WatchRevocationsResponse>,
  signal: AbortSignal,
): AsyncGenerator<WatchRevocationsResponse, void, undefined> {
  const cancel = () => stream.cancel();
  // Cancelled after its last reader has gone, a stream reports that to nobody else.
  stream.on('error', () => {});
  signal.addEventListener('abort', cancel, { once: true });
  if (signal.aborted) cancel();
  const messages: AsyncIterator<WatchRevocationsResponse> = stream[Symbol.asyncIterator]();
  try {
    while (!signal.aborted) {
      // Counts only while a message is waited for: a slow consumer is not a silent server.
      const stopCounting = after(SILENCE_MS, cancel);
      const { done, value } = await messages.next().finally(stopCounting);
      if (done === true) return;
      yield value;
    }
  } finally {
    signal.removeEventListener('abort', cancel);
    cancel();
  }
}

function eventOf({ sequence, event }: WatchRevocationsResponse): WatchEvent {
  if (event?.$case !== 'revocation') return { kind: 'heartbeat', sequence };
  const { keyId, accountId, appId, revokedAt } = event.value;
  return { kind: 'revoked', sequence, keyId, accountId, appId, revokedAt: revokedAt ?? null };
}
