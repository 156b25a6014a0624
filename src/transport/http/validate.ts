import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { parseKeyName } from '../../domain/key-name.js';
import { type FieldError, HttpProblem } from './problem.js';

/** How a schema's validator names one broken rule. */
interface Violation {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: object;
  readonly message: string;
}

/**
 * Compiles a route's schema. Nothing is coerced or removed: a body that does not fit is refused, with one entry for
 * each field. Only in a query, which is text, `5` may stand for a number and `true` for a boolean.
 *
 * A path that does not fit names nothing that exists: 404, not 422.
 */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(schema);
  return (input: unknown) => {
    const value = httpPart === 'querystring' ? readQuery(input) : input;
    if (validator.Check(value)) return { value };
    if (httpPart === 'params') return { error: new HttpProblem('not-found', 'There is nothing at this address.') };
    return { error: invalid(fieldErrors(validator.Errors(value) as readonly Violation[], value)) };
  };
};

/** A 422 about single fields. */
export function invalid(errors: readonly FieldError[]): HttpProblem {
  const detail = errors.map(({ field, message }) => `${field === '' ? 'The request' : field} ${message}.`).join(' ');
  return new HttpProblem('invalid', detail, { errors });
}

const WHOLE_NUMBER = /^-?[0-9]{1,15}$/;

function readQuery(input: unknown): unknown {
  return Object.fromEntries(Object.entries(input as object).map(([name, value]) => [name, readQueryValue(value)]));
}

function readQueryValue(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if (WHOLE_NUMBER.test(value)) return Number(value);
  if (value === 'true' || value === 'false') return value === 'true';
  return value;
}

const MOST_ERRORS = 20;

function fieldErrors(violations: readonly Violation[], input: unknown): FieldError[] {
  // The first violation of a place is the one to mend; what follows from it would only confuse.
  const byPointer = new Map<string, FieldError>();
  for (const violation of violations) {
    for (const error of fieldErrorsOf(violation, input)) {
      if (byPointer.size < MOST_ERRORS && !byPointer.has(error.pointer)) byPointer.set(error.pointer, error);
    }
  }
  return [...byPointer.values()];
}

function fieldErrorsOf({ keyword, instancePath, params, message }: Violation, input: unknown): FieldError[] {
  const [, field = ''] = instancePath.split('/');
  const at = (message: string): FieldError => ({ field, pointer: instancePath, message });
  switch (keyword) {
    case 'required':
      return names(params, 'requiredProperties').map((name) => ({
        field: name,
        pointer: `${instancePath}/${name}`,
        message: 'is required',
      }));
    case 'additionalProperties':
      return names(params, 'additionalProperties').map((name) =>
        PLAIN_NAME.test(name)
          ? { field: name, pointer: `${instancePath}/${name}`, message: 'is not a known field' }
          : { field, pointer: instancePath, message: 'has a field that is not known' },
      );
    case 'boolean':
      // How the validator says once more that a property is not known.
      return [];
    case 'pattern':
      return [at(explainPattern(field, input))];
    case 'format':
      return [at(field === 'expires_at' ? 'must be a date and time as RFC 3339 has it' : 'has the wrong format')];
    case 'enum':
      return [at(`must be one of ${names(params, 'allowedValues').join(', ')}`)];
    case 'uniqueItems':
      return [at('must not repeat an item')];
    case 'type':
      return [at(field === '' ? 'must be a JSON object' : message)];
    default:
      return [at(message)];
  }
}

// Longer or stranger names are not repeated: one could hold a secret.
const PLAIN_NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,39}$/;

function names(params: object, key: string): string[] {
  const list = (params as Record<string, unknown>)[key];
  return Array.isArray(list) ? list.map(String) : [];
}

function explainPattern(field: string, input: unknown): string {
  if (field === 'cursor') return 'is not one that this list gave out';
  if (field === 'workflow_id') return 'must not contain control characters';
  const value = (input as Record<string, unknown>)[field];
  const parsed = typeof value === 'string' ? parseKeyName(value) : null;
  return parsed !== null && 'problem' in parsed ? parsed.problem : 'has the wrong form';
}
