import type { BulkSource } from '../../../src/ports/bulk-source.js';

/** One statement that a {@link ScriptedSource} was asked for and that a test answers when it likes. */
export interface Statement<K, V> {
  readonly keys: readonly K[];
  answer(values: readonly (V | null)[]): void;
  fail(error: unknown): void;
}

/** A source whose every statement waits for the test. */
export class ScriptedSource<K, V> implements BulkSource<K, V> {
  /** Statements asked for and not answered yet, oldest first. */
  readonly open: Statement<K, V>[] = [];
  /** Every statement ever asked for. */
  readonly asked: (readonly K[])[] = [];

  readMany(keys: readonly K[]): Promise<readonly (V | null)[]> {
    this.asked.push(keys);
    return new Promise((resolve, reject) => {
      const statement: Statement<K, V> = {
        keys,
        answer: (values) => this.close(statement, () => resolve(values)),
        fail: (error) => this.close(statement, () => reject(error)),
      };
      this.open.push(statement);
    });
  }

  private close(statement: Statement<K, V>, end: () => void): void {
    this.open.splice(this.open.indexOf(statement), 1);
    end();
  }
}
