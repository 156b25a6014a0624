/** Structured fields of a log line. Values are plain data; an `error` field may hold an `Error`. */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * Structured log. An implementation redacts anything shaped like a raw key, wherever it stands, before it is written.
 *
 * `message` is a constant sentence; what varies goes into `fields`.
 */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds `fields` to every line. */
  child(fields: LogFields): Logger;
}

/** Writes nothing. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
