import { readdirSync } from 'node:fs';
import { sep } from 'node:path';
import { expect, it } from 'vitest';
import config from '../vitest.config.js';

it('runs every test file in exactly one project', () => {
  const projects = (config.test?.projects ?? []) as readonly {
    readonly test: { readonly include: readonly string[] };
  }[];
  const patterns = projects.flatMap(({ test }) => test.include);
  const folders = patterns.map((pattern) => pattern.replace('test/', '').replace(/\/?(\*\*\/)?\*\.test\.ts$/, ''));
  expect(new Set(folders).size).toBe(folders.length);
  const strays = readdirSync('test', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .filter((name) => !folders.includes(name.includes(sep) ? (name.split(sep)[0] ?? '') : ''));
  expect(strays).toEqual([]);
});
