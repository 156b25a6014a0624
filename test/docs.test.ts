import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SETTINGS } from '../src/config/settings.js';
import { OPERATIONS_PAGE, withSettings } from './support/settings-table.js';

const IGNORED = new Set(['node_modules', 'dist', '.git', '.latchkey', 'coverage']);

function pages(folder = '.'): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return IGNORED.has(entry.name) ? [] : pages(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

/** Links of a page to files of the repository: outside of code, without an anchor. */
function linkedFiles(page: string): string[] {
  const text = readFileSync(page, 'utf8')
    .replace(/```[\s\S]*?```/g, '')
    .replace(/`[^`]*`/g, '');
  return [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
    .map((match) => match[1] ?? '')
    .filter((target) => !/^[a-z]+:/.test(target));
}

describe('the documentation', () => {
  it('has the settings that the program reads, with the same words', () => {
    const page = readFileSync(OPERATIONS_PAGE, 'utf8');
    expect(withSettings(page)).toBe(page);
    for (const { variable } of Object.values(SETTINGS)) expect(page).toContain(`\`${variable}\``);
  });

  it('has a section in the runbook for every alert', () => {
    const alerts = [...readFileSync('deploy/prometheus/rules.yaml', 'utf8').matchAll(/- alert: (\w+)/g)];
    const sections = [...readFileSync(OPERATIONS_PAGE, 'utf8').matchAll(/^#### (Latchkey\w+)$/gm)];
    expect(sections.map(([, name]) => name).sort()).toEqual(alerts.map(([, name]) => name).sort());
    expect(alerts.length).toBeGreaterThan(0);
  });

  it('links only to files that exist', () => {
    const broken = pages().flatMap((page) =>
      linkedFiles(page)
        .filter((target) => !existsSync(join(dirname(page), decodeURI(target))))
        .map((target) => `${page}: ${target}`),
    );
    expect(broken).toEqual([]);
  });

  it('lists every decision record, numbered without a clash', () => {
    const folder = 'docs/decisions';
    const records = readdirSync(folder).filter((name) => /^\d{4}-.*\.md$/.test(name));
    const listed = linkedFiles(join(folder, 'README.md')).map((target) => relative(folder, resolve(folder, target)));
    expect(listed.filter((name) => /^\d{4}-/.test(name)).sort()).toEqual(records.sort());
    expect(new Set(records.map((name) => name.slice(0, 4))).size).toBe(records.length);
  });
});
