import {
  Metadata,
  type ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status,
} from '@grpc/grpc-js';
import { AuthorizationServiceService } from '../../gen/latchkey/v1/authorization_service.js';
import type { Logger } from '../../ports/logger.js';
import type { Authorizer, Verdict } from '../../service/authorizer.js';
import type { StreamAnswer, StreamQuestion } from './authorize-codec.js';
import { type CallListener, type CallStatus, ForwardingCall } from './interceptors/forwarding-call.js';
import { failedCall } from './status.js';
import { BrokenMessage } from './wire.js';

/**
 * Questions of one stream that may be under way: received, and the answer not yet taken by the connection. While there
 * are this many, nothing more is read, so a client that does not read its answers comes to a stop by itself.
 */
export const STREAM_IN_FLIGHT_MAX = 128;

/** What {@link authorizeStreamInterceptor} is made of. */
export interface AuthorizeStreamParts {
  readonly authorizer: Authorizer;
  readonly logger: Logger;
}

/**
 * Serves `AuthorizeStream` below the library's stream objects, by taking the call over before they are made.
 *
 * Those objects hand one answer at a time to the connection and wait until it is flushed, which holds a stream to fewer
 * answers than single calls reach. Here every answer goes out as soon as it is known, and HTTP/2 writes what has
 * gathered in one go.
 */
export function authorizeStreamInterceptor(parts: AuthorizeStreamParts): ServerInterceptor {
  const { path } = AuthorizationServiceService.authorizeStream;
  return (method, call) => {
    if (method.path !== path) return call as ServerInterceptingCall;
    return new AuthorizeStreamCall(call, parts).asCall;
  };
}

/**
 * One stream, in one of three states: open, closing (the client has sent its last question; answers are outstanding),
 * ended (a status was sent, or the call is gone).
 */
class AuthorizeStreamCall extends ForwardingCall {
  private state: 'open' | 'closing' | 'ended' = 'open';
  /** Questions without a verdict. */
  private deciding = 0;
  /** Answers that the connection has not taken yet. */
  private sending = 0;
  /** A question has been asked for and has not come. */
  private reading = false;

  constructor(
    next: ServerInterceptingCallInterface,
    private readonly parts: AuthorizeStreamParts,
  ) {
    super(next);
  }

  /** The listener given here would make the library's stream object; it is left alone. */
  start(_libraryListener: CallListener): void {
    this.next.start({
      onReceiveMetadata: () => {
        // So that a client that waits for headers before its first question gets them.
        this.next.sendMetadata(new Metadata());
        this.read();
      },
      onReceiveMessage: (question: StreamQuestion | BrokenMessage) => {
        this.reading = false;
        this.ask(question);
        this.read();
      },
      onReceiveHalfClose: () => {
        this.reading = false;
        if (this.state === 'open') this.state = 'closing';
        this.endIfDone();
      },
      onCancel: () => {
        this.state = 'ended';
      },
    });
  }

  private read(): void {
    if (this.reading || this.state !== 'open' || this.deciding + this.sending >= STREAM_IN_FLIGHT_MAX) return;
    this.reading = true;
    this.next.startRead();
  }

  private ask(question: StreamQuestion | BrokenMessage): void {
    if (this.state === 'ended') return;
    if (question instanceof BrokenMessage) {
      this.fail(question);
      return;
    }
    try {
      const verdict = this.parts.authorizer.authorize('stream', question.key, question.workflowId, question.method);
      if (verdict instanceof Promise) void this.answerLater(question, verdict);
      else this.answer(question, verdict);
    } catch (error) {
      this.fail(error);
    }
  }

  private async answerLater(
    { correlationLow, correlationHigh }: StreamQuestion,
    pending: Promise<Verdict>,
  ): Promise<void> {
    this.deciding++;
    try {
      const verdict = await pending;
      this.deciding--;
      this.answer({ correlationLow, correlationHigh }, verdict);
    } catch (error) {
      this.deciding--;
      this.fail(error);
    }
    this.endIfDone();
  }

  private answer(to: Pick<StreamQuestion, 'correlationLow' | 'correlationHigh'>, verdict: Verdict): void {
    if (this.state === 'ended') return;
    const answer: StreamAnswer = {
      correlationLow: to.correlationLow,
      correlationHigh: to.correlationHigh,
      verdict,
    };
    this.sending++;
    this.next.sendMessage(answer, this.onSent);
  }

  private readonly onSent = (): void => {
    this.sending--;
    this.read();
  };

  /** Every verdict is with the connection: the status follows the last of them by itself. */
  private endIfDone(): void {
    if (this.state === 'closing' && this.deciding === 0) this.end({ code: status.OK, details: 'OK', metadata: null });
  }

  /** A stream has no way to say "undecided" of one question, so it ends: whatever is unanswered then is undecided. */
  private fail(error: unknown): void {
    if (this.state !== 'ended') this.end(failedCall(error, this.parts.logger));
  }

  private end(last: CallStatus): void {
    this.state = 'ended';
    this.next.sendStatus(last);
  }

  override sendStatus(last: CallStatus): void {
    this.end(last);
  }
}
