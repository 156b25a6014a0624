/**
 * Prompts a reader that something may have changed. A notification is only ever a hint: it may be lost, late, doubled
 * or forged, and nothing but promptness may rest on it.
 */
export interface ChangeFeed {
  /**
   * Begins to listen and keeps at it until `stop`, reconnecting for ever. `onHint` is called after each notification,
   * and after each (re)connection once LISTEN is in force. Never throws, never rejects.
   */
  start(onHint: () => void): void;
  /** Whether the connection has been proven alive within its heartbeat's deadline. */
  readonly connected: boolean;
  /** Closes the connection; resolves when nothing is left open. */
  stop(): Promise<void>;
}
