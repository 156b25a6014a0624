import type { ClientDuplexStream } from '@grpc/grpc-js';
import type {
  AuthorizationServiceClient,
  AuthorizeStreamRequest,
  AuthorizeStreamResponse,
} from '../gen/latchkey/v1/authorization_service.js';
import { type Decision, decisionFromProto, type Question, requestOf } from './decision.js';
import { after } from './timing.js';
import { UndecidedError } from './undecided-error.js';

/** One question on the stream. */
interface Asked {
  readonly resolve: (decision: Decision | null) => void;
  readonly reject: (error: UndecidedError) => void;
}

/** What a {@link StreamCall} tells whoever opened it. */
export interface StreamCallEvents {
  /** An answer has come. */
  readonly heard: () => void;
  /** The stream has ended, by itself: nothing more can be asked on it. Called at most once. */
  readonly ended: () => void;
}

/**
 * One `AuthorizeStream` call, in one of three states: open, finishing (nothing more is asked, answers are outstanding),
 * ended. It never begins anew: what it leaves unanswered is its opener's to ask elsewhere.
 *
 * A question is handed to the connection only while the connection takes more; the others are held back here, each for
 * as long as its own deadline.
 */
export class StreamCall {
  private state: 'open' | 'finishing' | 'ended' = 'open';
  private readonly call: ClientDuplexStream<AuthorizeStreamRequest, AuthorizeStreamResponse>;
  private readonly asked = new Map<bigint, Asked>();
  private readonly heldBack = new Map<bigint, Question>();
  private lastId = 0n;
  private full = false;

  constructor(
    stub: AuthorizationServiceClient,
    private readonly events: StreamCallEvents,
  ) {
    this.call = stub.authorizeStream();
    this.call.on('data', (answer: AuthorizeStreamResponse) => this.hear(answer));
    this.call.on('drain', () => this.sendHeldBack());
    this.call.on('error', () => this.lose());
    this.call.on('end', () => this.lose());
  }

  /**
   * Asks. Resolves with `null` when the stream ended before the answer came; rejects with `DEADLINE_EXCEEDED`, or
   * `CANCELLED` by the signal or {@link close}.
   */
  ask(question: Question, deadlineMs: number, signal: AbortSignal | undefined): Promise<Decision | null> {
    if (this.state !== 'open') return Promise.resolve(null);
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      const settle = () => {
        this.asked.delete(id);
        this.heldBack.delete(id);
        stopCounting();
        signal?.removeEventListener('abort', giveUp);
      };
      const giveUp = () => {
        settle();
        reject(new UndecidedError('CANCELLED', 'the caller gave up', { cause: signal?.reason }));
      };
      const stopCounting = after(deadlineMs, () => {
        settle();
        reject(new UndecidedError('DEADLINE_EXCEEDED', 'no answer came in time'));
      });
      signal?.addEventListener('abort', giveUp, { once: true });
      this.asked.set(id, {
        resolve(decision) {
          settle();
          resolve(decision);
        },
        reject(error) {
          settle();
          reject(error);
        },
      });
      if (this.full) this.heldBack.set(id, question);
      else this.send(id, question);
    });
  }

  /** Takes no more questions, waits for the answers to those that were sent, and lets go of those that were not. */
  finish(): void {
    if (this.state !== 'open') return;
    this.state = 'finishing';
    for (const id of this.heldBack.keys()) this.asked.get(id)?.resolve(null);
    this.call.end();
  }

  /** Ends the stream; whatever is unanswered is rejected. */
  close(error: UndecidedError): void {
    if (this.state === 'ended') return;
    this.state = 'ended';
    this.call.cancel();
    for (const asked of this.asked.values()) asked.reject(error);
  }

  private send(correlationId: bigint, question: Question): void {
    this.full = !this.call.write({ correlationId, request: requestOf(question) });
  }

  private sendHeldBack(): void {
    this.full = false;
    if (this.state !== 'open') return;
    for (const [id, question] of this.heldBack) {
      if (this.full) return;
      this.heldBack.delete(id);
      this.send(id, question);
    }
  }

  /** An answer to nobody is that to a question whose deadline has passed. */
  private hear({ correlationId, response }: AuthorizeStreamResponse): void {
    this.events.heard();
    this.asked.get(correlationId)?.resolve(response === undefined ? null : decisionFromProto(response));
  }

  private lose(): void {
    if (this.state === 'ended') return;
    this.state = 'ended';
    this.events.ended();
    for (const asked of this.asked.values()) asked.resolve(null);
  }
}
