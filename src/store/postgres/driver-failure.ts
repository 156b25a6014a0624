import pg from 'pg';
import { Failure } from '../../domain/failure.js';

/**
 * An error of PostgreSQL without the parts that may repeat stored values: `detail`, `where` and the statement name
 * rows and parameters, a key's hash among them.
 */
export class DatabaseFault extends Error {
  override readonly name = 'DatabaseFault';

  constructor(
    message: string,
    /** SQLSTATE, or the system's code of a broken connection; `''` when there is none. */
    readonly code: string,
    /** The violated constraint, if any. */
    readonly constraint: string | null,
  ) {
    super(message);
  }
}

// By SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html). What is not listed is `unavailable`.
const FAILURES: Readonly<Record<string, Failure['kind']>> = {
  '23505': 'conflict', // unique_violation
  '23514': 'invalid-argument', // check_violation
  '23502': 'invalid-argument', // not_null_violation
  '23000': 'conflict', // raised by the trigger that keeps revoked keys revoked
  '22001': 'invalid-argument', // string_data_right_truncation
  '22003': 'invalid-argument', // numeric_value_out_of_range
  '22008': 'invalid-argument', // datetime_field_overflow
  '22021': 'invalid-argument', // character_not_in_repertoire: a NUL in a text
  '22P02': 'invalid-argument', // invalid_text_representation
  '22P05': 'invalid-argument', // untranslatable_character
  '54000': 'invalid-argument', // program_limit_exceeded: too long for an index
  '57014': 'deadline-exceeded', // query_canceled, by statement_timeout
  '25P03': 'deadline-exceeded', // idle_in_transaction_session_timeout
};

// What the driver says, without a code, when its own `query_timeout` passes.
const DRIVER_TIMEOUT = 'Query read timeout';

const MESSAGES: Readonly<Partial<Record<Failure['kind'], string>>> = {
  conflict: 'The change conflicts with what is stored.',
  'invalid-argument': 'A value cannot be stored.',
  'deadline-exceeded': 'The database did not answer in time.',
};

/** Translates whatever the driver threw into a `Failure` whose public text names no host, no SQL and no value. */
export function driverFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const fault = databaseFault(error);
  const kind = fault.message === DRIVER_TIMEOUT ? 'deadline-exceeded' : (FAILURES[fault.code] ?? 'unavailable');
  return new Failure(kind, MESSAGES[kind] ?? 'The database cannot be reached or used now; try again.', {
    cause: fault,
  });
}

/** The SQLSTATE of a failure that came from PostgreSQL, or `''`. */
export function sqlStateOf(error: unknown): string {
  if (error instanceof pg.DatabaseError) return error.code ?? '';
  if (error instanceof Failure && error.cause instanceof DatabaseFault) return error.cause.code;
  return '';
}

/** Reports whether the session that threw can be used again: the server refused a statement and said so, no more. */
export function isSessionSound(error: unknown): boolean {
  if (error instanceof Failure) return true;
  const state = sqlStateOf(error);
  // Class 08 is about the connection, 57P01 to 57P05 are the server ending the session.
  return state !== '' && !state.startsWith('08') && !state.startsWith('57P');
}

function databaseFault(error: unknown): DatabaseFault {
  if (error instanceof pg.DatabaseError) {
    return new DatabaseFault(error.message, error.code ?? '', error.constraint ?? null);
  }
  // A refused connection to a name with several addresses is an AggregateError without a message.
  const first = error instanceof AggregateError ? error.errors[0] : error;
  if (first instanceof Error) {
    const code = (first as NodeJS.ErrnoException).code;
    return new DatabaseFault(first.message, typeof code === 'string' ? code : '', null);
  }
  return new DatabaseFault('an unknown error', '', null);
}
