// Writes the bill of materials of what the program ships with, in CycloneDX, to standard output.
//
//   npm run sbom >sbom.json
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = new URL('..', import.meta.url);

/**
 * npm's own list, cut to what production needs: what can be reached from the dependencies, and is no optional package
 * (as in the image, which has no embedded database). `npm sbom --omit dev` leaves out more: whatever a development
 * dependency needs as well.
 */
export function billOfMaterials() {
  const options = { cwd: fileURLToPath(ROOT), encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 };
  const bill = JSON.parse(execFileSync('npm', ['sbom', '--sbom-format', 'cyclonedx'], options));
  const { dependencies } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8'));
  const required = new Map(
    bill.components.filter(({ scope }) => scope === 'required').map((each) => [each['bom-ref'], each]),
  );
  const edges = new Map(bill.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
  const root = bill.metadata.component['bom-ref'];
  const direct = edges.get(root).filter((ref) => (required.get(ref)?.name ?? '') in dependencies);
  const reached = new Set();
  const visit = (ref) => {
    if (reached.has(ref) || !required.has(ref)) return;
    reached.add(ref);
    for (const next of edges.get(ref) ?? []) visit(next);
  };
  for (const ref of direct) visit(ref);
  return {
    ...bill,
    components: bill.components.filter((each) => reached.has(each['bom-ref'])),
    dependencies: [
      { ref: root, dependsOn: direct },
      ...bill.dependencies
        .filter(({ ref }) => reached.has(ref))
        .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((each) => reached.has(each)) })),
    ],
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(JSON.stringify(billOfMaterials(), null, 2));
