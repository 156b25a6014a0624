import { inspect } from 'node:util';
import { pino } from 'pino';
import { Failure } from '../domain/failure.js';
import type { LogFields, Logger } from '../ports/logger.js';
import { activeSpan } from './active-span.js';
import { redact } from './redact.js';

/** Takes one line of JSON, with its newline. */
export interface LogDestination {
  write(line: string): void;
}

/** What is left out of the log, from most to least talkative. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** How many causes of causes are written. */
const CAUSE_DEPTH_MAX = 5;

/**
 * A logger that writes one line of JSON per message: `level`, `time` (ISO 8601), `message`, and its fields.
 *
 * The finished line goes through {@link redact}, so that a secret is removed wherever it stands: in a message, a nested
 * field, an error's text, stack or cause. Of an `Error` only its name, message, stack, code, kind and causes are
 * written, for drivers hang rows and parameters on theirs.
 */
export function jsonLogger(level: LogLevel, destination: LogDestination): Logger {
  const root = pino(
    {
      level,
      messageKey: 'message',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: withPlainErrors },
      // Which call a line belongs to, where calls are traced.
      mixin: () => activeSpan() ?? {},
      hooks: { streamWrite: redact },
    },
    destination,
  );
  return adapt(root);
}

function adapt(target: pino.Logger): Logger {
  return {
    debug: (message, fields) => target.debug(fields ?? {}, message),
    info: (message, fields) => target.info(fields ?? {}, message),
    warn: (message, fields) => target.warn(fields ?? {}, message),
    error: (message, fields) => target.error(fields ?? {}, message),
    child: (fields) => adapt(target.child(withPlainErrors(fields))),
  };
}

function withPlainErrors(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? plainError(value, 0) : value]),
  );
}

function plainError(error: Error, depth: number): Record<string, unknown> {
  const plain: Record<string, unknown> = { type: error.name, message: error.message, stack: error.stack };
  if ('code' in error && typeof error.code === 'string') plain.code = error.code;
  if (error instanceof Failure) plain.kind = error.kind;
  if (depth >= CAUSE_DEPTH_MAX) return plain;
  if (error.cause !== undefined) plain.cause = plainCause(error.cause, depth + 1);
  if (error instanceof AggregateError) {
    plain.errors = error.errors.map((each: unknown) => plainCause(each, depth + 1));
  }
  return plain;
}

function plainCause(cause: unknown, depth: number): unknown {
  if (cause instanceof Error) return plainError(cause, depth);
  return typeof cause === 'string' ? cause : inspect(cause, { depth: 1 });
}
