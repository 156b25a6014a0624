import type { Decision, Question } from './decision.js';
import { UndecidedError } from './undecided-error.js';

/** Most questions of one batch, by the contract. */
export const BATCH_MAX = 1_000;

interface Waiting {
  readonly question: Question;
  readonly resolve: (decision: Decision) => void;
  readonly reject: (error: unknown) => void;
}

/** How a batcher asks. */
export interface BatcherParts {
  readonly one: (question: Question) => Promise<Decision>;
  readonly many: (questions: readonly Question[]) => Promise<readonly Decision[]>;
}

/** Gathers the questions of one turn of the event loop and asks them together. */
export class Batcher {
  private waiting: Waiting[] = [];

  constructor(private readonly parts: BatcherParts) {}

  ask(question: Question): Promise<Decision> {
    return new Promise((resolve, reject) => {
      if (this.waiting.length === 0) setImmediate(() => this.flush());
      this.waiting.push({ question, resolve, reject });
      if (this.waiting.length === BATCH_MAX) this.flush();
    });
  }

  private flush(): void {
    const batch = this.waiting;
    this.waiting = [];
    const [first] = batch;
    if (first === undefined) return;
    if (batch.length === 1) this.alone(first);
    else void this.together(batch);
  }

  private alone({ question, resolve, reject }: Waiting): void {
    this.parts.one(question).then(resolve, reject);
  }

  private async together(batch: readonly Waiting[]): Promise<void> {
    try {
      const decisions = await this.parts.many(batch.map(({ question }) => question));
      batch.forEach(({ resolve, reject }, index) => {
        const decision = decisions[index];
        if (decision === undefined) reject(new UndecidedError('INTERNAL', 'the server left a question unanswered'));
        else resolve(decision);
      });
    } catch (error) {
      // One unusable question makes the whole batch unusable: each is then asked alone, so that only its own asker hears.
      const unusable = error instanceof UndecidedError && error.code === 'INVALID_ARGUMENT';
      for (const waiting of batch) {
        if (unusable) this.alone(waiting);
        else waiting.reject(error);
      }
    }
  }
}
