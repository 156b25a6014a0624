import type { Answer, DecisionCall, LatchkeyClient } from './latchkey-client.js';

/** No decision could be made. The caller must refuse; trying again later may help. */
export class Undecided extends Error {
  override readonly name = 'Undecided';
}

interface Pending {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Undecided) => void;
  readonly timer: NodeJS.Timeout;
}

/** Longest wait for one answer, ms. */
const DEADLINE_MS = 2_000;
/** Most questions without an answer; more are refused at once rather than kept. */
const PENDING_MAX = 10_000;

/**
 * Asks Latchkey over one `AuthorizeStream`: no call is set up for each question, and answers may overtake one another.
 *
 * A stream that ends leaves its questions undecided; each is asked once more on a new one, for a sidecar that restarts.
 */
export class DecisionStream {
  private call: DecisionCall | null = null;
  private readonly pending = new Map<string, Pending>();
  private asked = 0;
  private closed = false;

  constructor(private readonly client: LatchkeyClient) {}

  /** Asks whether the holder of `key` may call `method` on a workflow (`''`: none). Rejects with {@link Undecided}. */
  async ask(key: string, workflowId: string, method: string): Promise<Answer> {
    try {
      return await this.askOnce(key, workflowId, method);
    } catch (error) {
      if (this.closed || !(error instanceof StreamEnded)) throw error;
      return await this.askOnce(key, workflowId, method);
    }
  }

  close(): void {
    this.closed = true;
    this.call?.cancel();
  }

  private askOnce(key: string, workflow_id: string, method: string): Promise<Answer> {
    if (this.pending.size >= PENDING_MAX) return Promise.reject(new Undecided('too many questions are waiting'));
    const call = this.call ?? this.open();
    const correlation_id = String(++this.asked);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.pending.delete(correlation_id);
        reject(new Undecided('no answer in time'));
      }, DEADLINE_MS);
      this.pending.set(correlation_id, { resolve, reject, timer });
      call.write({ correlation_id, request: { key, workflow_id, method } });
    });
  }

  private open(): DecisionCall {
    const call = this.client.authorizeStream();
    this.call = call;
    call.on('data', ({ correlation_id, response }) => {
      const question = this.pending.get(correlation_id);
      if (question === undefined) return;
      this.pending.delete(correlation_id);
      clearTimeout(question.timer);
      question.resolve(response);
    });
    const ended = (): void => {
      if (this.call !== call) return;
      this.call = null;
      const questions = [...this.pending.values()];
      this.pending.clear();
      for (const question of questions) {
        clearTimeout(question.timer);
        question.reject(new StreamEnded('the stream has ended'));
      }
    };
    call.on('error', ended);
    call.on('end', ended);
    return call;
  }
}

class StreamEnded extends Undecided {}
