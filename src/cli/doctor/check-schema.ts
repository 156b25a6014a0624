import { readSchemaState } from '../../store/postgres/migrate.js';
import { answered } from './answered.js';
import { type Finding, fail, ok, reasonOf, warn } from './finding.js';

/** Compares the database's schema with the one of this version. */
export async function checkSchema(url: string): Promise<Finding> {
  try {
    const { applied, pending, unknown } = await answered(readSchemaState(url));
    if (pending.length > 0) return fail('schema', `it lacks ${pending.join(', ')}`, 'run latchkey migrate');
    if (unknown.length > 0) {
      return warn('schema', `it has ${unknown.join(', ')}, which this version does not know`, 'run the newer version');
    }
    return ok('schema', `up to date, with ${applied.length} ${applied.length === 1 ? 'migration' : 'migrations'}`);
  } catch (error) {
    return fail('schema', `it cannot be read: ${reasonOf(error)}`, 'let this user read the schema latchkey');
  }
}
