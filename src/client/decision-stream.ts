import { setMaxListeners } from 'node:events';
import { backoffMs } from './backoff.js';
import { type Decision, type Question, requestOf } from './decision.js';
import type { Endpoints } from './endpoints.js';
import { firstToAbort } from './first-to-abort.js';
import { type CallOptions, checkDeadline, DEADLINE_MS } from './options.js';
import type { Sidecar } from './sidecar.js';
import { StreamCall } from './stream-call.js';
import { monotonicMs } from './timing.js';
import { UndecidedError } from './undecided-error.js';

/** Most questions of one stream without an answer; more are refused at once, with `RESOURCE_EXHAUSTED`. */
export const STREAM_WAITING_MAX = 10_000;

/** Longest field of a question, in bytes, by the contract. */
const FIELD_BYTES_MAX = 4_096;

/** Bounds of the wait before the stream is opened again, in ms. */
const RETRY_BASE_MS = 50;
const RETRY_MAX_MS = 5_000;

/**
 * Decides about calls over one lasting `AuthorizeStream`: no call is set up for each question, and a slow answer holds up
 * no other.
 */
export interface DecisionStream {
  /**
   * Decides about one call, within the client's deadline or the call's own. Rejects with {@link UndecidedError} when no
   * decision could be made: the caller must then refuse.
   */
  ask(question: Question, options?: CallOptions): Promise<Decision>;
  /** Ends the stream; questions without an answer end with `CANCELLED`. */
  close(): void;
}

/** What a {@link LastingDecisionStream} is made of. */
export interface DecisionStreamParts {
  readonly endpoints: Endpoints;
  /** Asks one question by a call of its own, with retries. */
  readonly alone: (question: Question, options: CallOptions) => Promise<Decision>;
  /** Deadline of a question that has none of its own. */
  readonly deadlineMs: number | undefined;
}

/**
 * Keeps one stream open for as long as it is used, in one of four states: idle (the next question opens a stream), open,
 * resting (the last stream was lost a moment ago), closed.
 *
 * - A stream cannot say "undecided" of one question: it ends, for all. So each question that a lost stream leaves is asked
 *   alone, within what is left of its deadline, and hears its own answer or error.
 * - While resting, and so while no sidecar can be reached, questions are asked alone, with the client's retries.
 * - When its sidecar says that it is not serving, or one named before it serves again, the stream moves: what was asked
 *   is still answered on the old one.
 */
export class LastingDecisionStream implements DecisionStream {
  private open: { readonly call: StreamCall; readonly endpoint: Sidecar } | null = null;
  /** The open one, and those that finish. */
  private readonly calls = new Set<StreamCall>();
  private readonly closed = new AbortController();
  private readonly closeWithClient = () => this.close();
  private waiting = 0;
  private failures = 0;
  private restUntilMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly parts: DecisionStreamParts) {
    // Every question that is asked alone listens to it; Node.js would take more than ten for a leak.
    setMaxListeners(0, this.closed.signal);
    const client = parts.endpoints.closed.signal;
    client.addEventListener('abort', this.closeWithClient, { once: true });
    if (client.aborted) this.close();
  }

  async ask(question: Question, options: CallOptions = {}): Promise<Decision> {
    const { deadlineMs = this.parts.deadlineMs ?? DEADLINE_MS, signal } = options;
    checkDeadline(deadlineMs);
    checkFields(question);
    if (this.closed.signal.aborted) throw closedError();
    if (signal?.aborted === true) throw new UndecidedError('CANCELLED', 'the caller gave up', { cause: signal.reason });
    if (this.waiting >= STREAM_WAITING_MAX) {
      throw new UndecidedError('RESOURCE_EXHAUSTED', `${STREAM_WAITING_MAX} questions are waiting already`);
    }
    this.waiting++;
    try {
      const endMs = monotonicMs() + deadlineMs;
      const decision = await this.callToUse()?.ask(question, deadlineMs, signal);
      return decision ?? (await this.askAlone(question, endMs - monotonicMs(), signal));
    } finally {
      this.waiting--;
    }
  }

  close(): void {
    if (this.closed.signal.aborted) return;
    this.closed.abort();
    this.parts.endpoints.closed.signal.removeEventListener('abort', this.closeWithClient);
    this.open = null;
    for (const call of this.calls) call.close(closedError());
    this.calls.clear();
  }

  private async askAlone(question: Question, leftMs: number, signal: AbortSignal | undefined): Promise<Decision> {
    if (this.closed.signal.aborted) throw closedError();
    if (leftMs <= 0) throw new UndecidedError('DEADLINE_EXCEEDED', 'no answer came in time');
    const either = firstToAbort(signal, this.closed.signal);
    try {
      return await this.parts.alone(question, { deadlineMs: leftMs, signal: either.signal });
    } finally {
      either.unlink();
    }
  }

  /** The stream for the next question; `undefined` while resting. */
  private callToUse(): StreamCall | undefined {
    const { endpoints } = this.parts;
    if (this.open === null) {
      if (monotonicMs() < this.restUntilMs) return undefined;
      return this.openAt(endpoints.choose(this.failures));
    }
    const { call, endpoint } = this.open;
    const first = endpoints.choose(0);
    if (first === endpoint || (endpoint.usable && !first.serving)) return call;
    call.finish();
    return this.openAt(first);
  }

  private openAt(endpoint: Sidecar): StreamCall {
    const call: StreamCall = new StreamCall(endpoint.stub, {
      heard: () => {
        this.failures = 0;
      },
      ended: () => {
        this.calls.delete(call);
        if (this.open?.call !== call) return;
        this.open = null;
        this.restUntilMs = monotonicMs() + backoffMs(++this.failures, RETRY_BASE_MS, RETRY_MAX_MS);
      },
    });
    this.calls.add(call);
    this.open = { call, endpoint };
    return call;
  }
}

/** A question that the server would not take ends the stream for all, so it is not sent. */
function checkFields(question: Question): void {
  const { key, workflowId, method } = requestOf(question);
  for (const field of [key, workflowId, method]) {
    if (Buffer.byteLength(field) > FIELD_BYTES_MAX) {
      throw new UndecidedError('INVALID_ARGUMENT', `a field holds at most ${FIELD_BYTES_MAX} bytes`);
    }
  }
}

function closedError(): UndecidedError {
  return new UndecidedError('CANCELLED', 'the stream is closed');
}
