import { setMaxListeners } from 'node:events';
import { type ClientUnaryCall, type ServiceError, status } from '@grpc/grpc-js';
import type { AuthorizationServiceClient } from '../gen/latchkey/v1/authorization_service.js';
import { backoffMs } from './backoff.js';
import { Endpoint } from './endpoint.js';
import { addressesOf, DEADLINE_MS, type LatchkeyClientOptions, MAX_ATTEMPTS } from './options.js';
import type { Sidecar } from './sidecar.js';
import { deadlineIn, monotonicMs, pause } from './timing.js';
import { isServiceError, UndecidedError } from './undecided-error.js';

/** Bounds of the wait before a call is tried again, in ms. */
const RETRY_BASE_MS = 20;
const RETRY_MAX_MS = 250;

/** One attempt at a unary call with a deadline. */
export type Attempt<Response> = (
  stub: AuthorizationServiceClient,
  deadline: Date,
  done: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** The sidecars of a client: chooses one for each attempt, and tries again when one cannot answer. */
export class Endpoints {
  private readonly addresses: readonly string[];
  private readonly endpoints: readonly Sidecar[];
  private readonly deadlineMs: number;
  private readonly maxAttempts: number;
  /** Aborts when the client is closed. */
  readonly closed = new AbortController();

  constructor(options: LatchkeyClientOptions, connect: (address: string) => Sidecar = connectWith(options)) {
    // Every call under way listens to it; Node.js would take more than ten for a leak.
    setMaxListeners(0, this.closed.signal);
    this.addresses = addressesOf(options);
    this.endpoints = this.addresses.map(connect);
    this.deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    this.maxAttempts = options.maxAttempts ?? MAX_ATTEMPTS;
  }

  /** The sidecar for an attempt, numbered from 0: the first that is usable, and another one each time after. */
  choose(attempt: number): Sidecar {
    const usable = this.endpoints.filter((endpoint) => endpoint.usable);
    const among = usable.length > 0 ? usable : this.endpoints;
    return among[attempt % among.length] as Sidecar;
  }

  /**
   * Calls until there is an answer, the attempts are used up or the deadline has passed. Rejects {@link UndecidedError}.
   *
   * An attempt counts when a sidecar could be reached; while none can, as in the moment in which the last of a fleet is
   * restarted and the others are not connected yet, the deadline alone is the limit. A single attempt is just that.
   *
   * When the deadline passes and no sidecar can be reached, the error is that of the last attempt which found out why.
   */
  async call<Response>(
    attempt: Attempt<Response>,
    deadlineMs: number = this.deadlineMs,
    signal?: AbortSignal,
  ): Promise<Response> {
    const endMs = monotonicMs() + deadlineMs;
    let known: unknown;
    for (let tried = 0, counted = 0; ; tried++) {
      if (this.closed.signal.aborted) throw new UndecidedError('CANCELLED', 'the client is closed');
      throwIfGivenUp(signal);
      const leftMs = endMs - monotonicMs();
      try {
        return await once(attempt, this.choose(tried).stub, leftMs, [this.closed.signal, signal]);
      } catch (error) {
        throwIfGivenUp(signal);
        const connected = this.endpoints.some((endpoint) => endpoint.connected);
        const reached = connected || isAnswer(error);
        if (reached || !isDeadlineExceeded(error)) known = error;
        const waitMs = backoffMs(tried + 1, RETRY_BASE_MS, RETRY_MAX_MS);
        if (this.maxAttempts === 1 || connected) counted++;
        const again = counted < this.maxAttempts && endMs - monotonicMs() > waitMs;
        if (!again || !mayTryAgain(error) || this.closed.signal.aborted) throw this.undecided(known ?? error, reached);
        await pause(waitMs, signal);
      }
    }
  }

  /** Says where nobody was reached; the words of gRPC do not. */
  private undecided(error: unknown, reached: boolean): UndecidedError {
    const undecided = UndecidedError.from(error);
    if (reached || !(mayTryAgain(error) || isDeadlineExceeded(error)) || this.closed.signal.aborted) return undecided;
    const { code, cause } = undecided;
    const why = isServiceError(error) ? error.details : '';
    return new UndecidedError(code, `no connection to ${this.addresses.join(' or ')}: ${why}`, { cause });
  }

  close(): void {
    this.closed.abort();
    for (const endpoint of this.endpoints) endpoint.close();
  }
}

function connectWith({ tls, healthChecks = true }: LatchkeyClientOptions): (address: string) => Sidecar {
  return (address) => new Endpoint(address, tls, healthChecks);
}

/** Makes one attempt; rejects with gRPC's own error. */
function once<Response>(
  attempt: Attempt<Response>,
  stub: AuthorizationServiceClient,
  leftMs: number,
  signals: readonly (AbortSignal | undefined)[],
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const call = attempt(stub, deadlineIn(leftMs), (error, response) => {
      for (const signal of signals) signal?.removeEventListener('abort', cancel);
      if (error === null) resolve(response);
      else reject(error);
    });
    const cancel = () => call.cancel();
    for (const signal of signals) signal?.addEventListener('abort', cancel, { once: true });
  });
}

/** Asking again changes nothing, so whatever may pass is tried again: a lost connection, a sidecar that cut its calls. */
function mayTryAgain(error: unknown): boolean {
  return isServiceError(error) && (error.code === status.UNAVAILABLE || error.code === status.CANCELLED);
}

function isDeadlineExceeded(error: unknown): boolean {
  return isServiceError(error) && error.code === status.DEADLINE_EXCEEDED;
}

/** Whether a server said so. Only its own refusals come with details; what gRPC finds out here has none. */
function isAnswer(error: unknown): boolean {
  return isServiceError(error) && (error.metadata?.get('grpc-status-details-bin') ?? []).length > 0;
}

function throwIfGivenUp(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new UndecidedError('CANCELLED', 'the caller gave up', { cause: signal.reason });
}
