// Adds to package-lock.json the optional packages of other platforms that npm left out of it.
//
//   node .ci/complete-lock.mjs
//
// npm leaves out what the registry that it was pointed at does not have, as mirrors often lack the binaries of other
// platforms; `npm ci` then finds lock file and packages out of step and refuses to install anything. An entry with its
// platform is enough: it is never fetched on another one. Run it after `npm install`; a test says when it is needed.
import { readFileSync, writeFileSync } from 'node:fs';

const FILE = 'package-lock.json';
const LIBC = { gnu: 'glibc', musl: 'musl' };

const lock = JSON.parse(readFileSync(FILE, 'utf8'));
for (const [path, { dev, optionalDependencies = {} }] of Object.entries(lock.packages)) {
  for (const [name, range] of Object.entries(optionalDependencies)) {
    const nested = path === '' ? [] : [`${path}/node_modules/${name}`];
    if ([...nested, `node_modules/${name}`].some((each) => lock.packages[each] !== undefined)) continue;
    // `@scope/binding-linux-x64-musl`, `@scope/darwin-arm64`, …
    const [os, cpu, libc] = name
      .replace(/^.*\//, '')
      .replace(/^(binding|buf|cli)-/, '')
      .split('-');
    lock.packages[`node_modules/${name}`] = {
      version: range.replace(/^[\^~]/, ''),
      cpu: [cpu === 'armv7' ? 'arm' : cpu],
      ...(dev ? { dev } : {}),
      ...(Object.hasOwn(LIBC, libc ?? '') ? { libc: [LIBC[libc]] } : {}),
      optional: true,
      os: [os],
    };
    console.log(`added ${name}`);
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en')));
writeFileSync(FILE, `${JSON.stringify(lock, null, 2)}\n`);
