import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import type { MethodEntry, MethodTarget } from './method-entry.js';
import { isPermissionName, PERMISSION_NAMES, permissionBit } from './permissions.js';

/** The table that gives each method its permission and target. Immutable. */
export interface MethodCatalogue {
  /** The entry that answers to a canonical name or an alias, exactly spelled; one look-up in one map. */
  find(nameOrAlias: string): MethodEntry | undefined;
  /** Every entry, in the order of the file. */
  readonly entries: readonly MethodEntry[];
  /** Every spelling that `find` knows. */
  readonly spellings: readonly string[];
}

/** A catalogue that cannot be used. The message lists every problem as `file:line: what is wrong`. */
export class CatalogueError extends Error {
  override readonly name = 'CatalogueError';

  constructor(readonly problems: readonly string[]) {
    super(`the method catalogue cannot be used:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
  }
}

const TARGETS: readonly MethodTarget[] = ['workflow', 'optional', 'account'];
const FIELDS = ['name', 'aliases', 'permission', 'target', 'apps', 'scopedWithoutWorkflow'] as const;
type Field = (typeof FIELDS)[number];

/** Longest name or alias, in characters: as long as the longest method that a request may carry is useful. */
const SPELLING_MAX = 200;

class MapCatalogue implements MethodCatalogue {
  constructor(
    readonly entries: readonly MethodEntry[],
    // A Map, not an object: `constructor` and `__proto__` are ordinary unknown methods.
    private readonly bySpelling: ReadonlyMap<string, MethodEntry>,
  ) {}

  get spellings(): readonly string[] {
    return [...this.bySpelling.keys()];
  }

  find(nameOrAlias: string): MethodEntry | undefined {
    return this.bySpelling.get(nameOrAlias);
  }
}

/**
 * Reads a catalogue from JSON (or YAML): `{"methods": [{name, aliases, permission, target, apps,
 * scopedWithoutWorkflow}, …]}`, every field given, no other allowed.
 *
 * Names are unique. A spelling that several entries share, as alias or as name, has one answer, so those entries must
 * agree in every other column.
 *
 * @param fileName how to call the file in messages
 * @throws CatalogueError with all problems at once, each with its line
 */
export function parseCatalogue(text: string, fileName: string): MethodCatalogue {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, strict: true });
  const problems: { readonly line: number; readonly text: string }[] = [];
  const report = (at: number, problem: string): void => {
    problems.push({ line: lines.linePos(at).line || 1, text: problem });
  };

  for (const error of document.errors) report(error.pos[0], error.message.split('\n', 1)[0] as string);
  const rows = document.errors.length === 0 ? rowsOf(document.contents as Node | null, report) : [];
  const entries: MethodEntry[] = [];
  const bySpelling = new Map<string, MethodEntry>();
  const lineOfName = new Map<string, number>();
  const lineOfEntry = new Map<MethodEntry, number>();

  for (const row of rows) {
    const parsed = parseRow(row, report);
    if (parsed === null) continue;
    const { name, nameAt, entry, aliases } = parsed;
    const earlier = lineOfName.get(name);
    if (earlier !== undefined) {
      report(nameAt, `duplicate name "${name}", first given on line ${earlier}`);
      continue;
    }
    lineOfName.set(name, lines.linePos(nameAt).line);
    if (entry === null) continue;
    lineOfEntry.set(entry, lines.linePos(nameAt).line);
    entries.push(entry);
    for (const { spelling, at } of [{ spelling: entry.name, at: nameAt }, ...aliases]) {
      const other = bySpelling.get(spelling);
      if (other === undefined) {
        bySpelling.set(spelling, entry);
        continue;
      }
      const column = differingColumn(entry, other);
      if (column !== null) {
        report(
          at,
          `"${spelling}" is shared by "${entry.name}" and "${other.name}" (line ${lineOfEntry.get(other)}), ` +
            `which disagree in "${column}"`,
        );
      }
    }
  }

  if (problems.length > 0) {
    problems.sort((a, b) => a.line - b.line);
    throw new CatalogueError(problems.map((problem) => `${fileName}:${problem.line}: ${problem.text}`));
  }
  return new MapCatalogue(Object.freeze(entries), bySpelling);
}

type Report = (at: number, problem: string) => void;

const startOf = (node: unknown): number => (node as Node | null)?.range?.[0] ?? 0;

function rowsOf(root: Node | null, report: Report): readonly unknown[] {
  if (!isMap(root)) {
    report(startOf(root), 'must be an object with the field "methods"');
    return [];
  }
  for (const pair of root.items) {
    const key = isScalar(pair.key) ? String(pair.key.value) : '';
    if (key !== 'methods') report(startOf(pair.key), `unknown field "${key}"`);
  }
  const methods = root.get('methods', true) as unknown;
  if (!isSeq(methods)) {
    report(startOf(methods ?? root), '"methods" must be an array');
    return [];
  }
  if (methods.items.length === 0) report(startOf(methods), '"methods" must not be empty: every call would be denied');
  return methods.items;
}

interface ParsedRow {
  readonly name: string;
  /** `null` when something about the row was reported. */
  readonly entry: MethodEntry | null;
  readonly aliases: readonly { readonly spelling: string; readonly at: number }[];
  readonly nameAt: number;
}

function parseRow(row: unknown, report: Report): ParsedRow | null {
  const at = startOf(row);
  if (!isMap(row)) {
    report(at, 'each method must be an object');
    return null;
  }
  const values = new Map<Field, { readonly node: unknown; readonly at: number }>();
  let sound = true;
  const reject = (where: number, problem: string): void => {
    sound = false;
    report(where, problem);
  };
  for (const pair of row.items) {
    const key = isScalar(pair.key) ? String(pair.key.value) : '';
    if ((FIELDS as readonly string[]).includes(key)) {
      values.set(key as Field, { node: pair.value, at: startOf(pair.value ?? pair.key) });
    } else reject(startOf(pair.key), `unknown field "${key}"`);
  }
  const scalar = (field: Field): unknown => {
    const node = values.get(field)?.node;
    return isScalar(node) ? node.value : undefined;
  };
  const name = scalar('name');
  const label = typeof name === 'string' ? `"${name}"` : 'a method';
  for (const field of FIELDS) if (!values.has(field)) reject(at, `${label} lacks the field "${field}"`);
  const placeOf = (field: Field): number => values.get(field)?.at ?? at;
  const check = (field: Field, valid: boolean, allowed: string): void => {
    if (values.has(field) && !valid) reject(placeOf(field), `${label}: "${field}" must be ${allowed}`);
  };

  const permission = scalar('permission');
  const target = scalar('target');
  const apps = scalar('apps');
  const scopedWithoutWorkflow = scalar('scopedWithoutWorkflow');
  check('name', isSpelling(name), `a string of 1 to ${SPELLING_MAX} characters`);
  check(
    'permission',
    typeof permission === 'string' && isPermissionName(permission),
    `one of ${PERMISSION_NAMES.join(', ')}`,
  );
  check('target', TARGETS.includes(target as MethodTarget), `one of ${TARGETS.join(', ')}`);
  check('apps', typeof apps === 'boolean', 'true or false');
  check('scopedWithoutWorkflow', typeof scopedWithoutWorkflow === 'boolean', 'true or false');

  const aliases: { spelling: string; at: number }[] = [];
  const aliasNode = values.get('aliases')?.node;
  check('aliases', isSeq(aliasNode), 'an array of strings');
  if (isSeq(aliasNode)) {
    const seen = new Set<unknown>([name]);
    for (const item of aliasNode.items) {
      const spelling = isScalar(item) ? item.value : undefined;
      if (!isSpelling(spelling)) {
        reject(startOf(item), `${label}: each alias must be a string of 1 to ${SPELLING_MAX} characters`);
      } else if (seen.has(spelling)) {
        reject(startOf(item), `${label}: the alias "${spelling}" is given twice`);
      } else {
        seen.add(spelling);
        aliases.push({ spelling, at: startOf(item) });
      }
    }
  }
  if (target === 'workflow' && scopedWithoutWorkflow === true) {
    reject(placeOf('scopedWithoutWorkflow'), `${label}: "scopedWithoutWorkflow" contradicts the target "workflow"`);
  }
  if (!isSpelling(name)) return null;
  const entry = Object.freeze({
    name,
    permission: permissionBit(permission as (typeof PERMISSION_NAMES)[number]),
    target: target as MethodTarget,
    apps: apps as boolean,
    scopedWithoutWorkflow: scopedWithoutWorkflow as boolean,
  });
  return { name, nameAt: placeOf('name'), entry: sound ? entry : null, aliases };
}

function isSpelling(value: unknown): value is string {
  return typeof value === 'string' && value.length >= 1 && value.length <= SPELLING_MAX;
}

function differingColumn(a: MethodEntry, b: MethodEntry): string | null {
  for (const column of ['permission', 'target', 'apps', 'scopedWithoutWorkflow'] as const) {
    if (a[column] !== b[column]) return column;
  }
  return null;
}
