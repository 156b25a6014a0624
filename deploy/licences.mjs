// Lists what the program ships with and under which licence, and fails on a licence that is not on the list below.
//
//   npm run licences
import { argv, exit } from 'node:process';
import { fileURLToPath } from 'node:url';
import { billOfMaterials } from './sbom.mjs';

/** Licences that ask for no more than their text and names to be kept: by SPDX identifier. */
const ALLOWED = new Set([
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  'MIT',
  'Python-2.0',
]);

/** The licence of a component as SPDX has it; `unknown` when it names none. */
export function licenceOf({ licenses = [] }) {
  const names = licenses.map(({ license, expression }) => expression ?? license?.id ?? license?.name ?? 'unknown');
  return names.length === 0 ? 'unknown' : names.join(' AND ');
}

/** Whether an SPDX expression can be kept to: one side of an OR, all sides of an AND. */
export function isAllowed(licence) {
  const inner = licence.replace(/^\((.*)\)$/, '$1');
  if (/\bOR\b/.test(inner)) return inner.split(/\s+OR\s+/).some(isAllowed);
  if (/\bAND\b/.test(inner)) return inner.split(/\s+AND\s+/).every(isAllowed);
  return ALLOWED.has(inner);
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const components = billOfMaterials().components.map((each) => [`${each.name}@${each.version}`, licenceOf(each)]);
  const counts = new Map();
  for (const [, licence] of components) counts.set(licence, (counts.get(licence) ?? 0) + 1);
  for (const [name, licence] of components.sort()) console.log(`${licence.padEnd(14)} ${name}`);
  console.log(
    `\n${components.length} packages${[...counts].map(([licence, count]) => `, ${count} ${licence}`).join('')}`,
  );
  const refused = components.filter(([, licence]) => !isAllowed(licence));
  for (const [name, licence] of refused) console.error(`not on the list of licences: ${name} (${licence})`);
  exit(refused.length === 0 ? 0 : 1);
}
