import type { Setting } from './setting.js';

/** An address of the configuration cannot be listened on. The message names its setting, and why. */
export class ListenFailure extends Error {
  override readonly name = 'ListenFailure';

  /** Settles as `listening` does; what it rejects with is the cause of a `ListenFailure`. */
  static async naming<T>({ variable }: Setting<unknown>, listening: Promise<T>): Promise<T> {
    try {
      return await listening;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ListenFailure(`${variable}: ${reason}`, { cause });
    }
  }
}
