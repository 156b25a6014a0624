import { SETTING_GROUPS, type Setting } from '../../src/config/setting.js';
import { SETTINGS } from '../../src/config/settings.js';

/** Where the tables stand in the page of the operators. */
export const OPERATIONS_PAGE = 'docs/operations.md';

const BEGIN = '<!-- settings: written by npm run generate -->';
const END = '<!-- settings: end -->';

/** The page with its tables of settings replaced by what the program reads. Throws when it has no place for them. */
export function withSettings(page: string): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`the page has no ${BEGIN} … ${END}`);
  return `${page.slice(0, begin + BEGIN.length)}\n\n${tables()}\n\n${page.slice(end)}`;
}

function tables(): string {
  return SETTING_GROUPS.map((group) => {
    const settings = Object.values(SETTINGS).filter((setting) => setting.group === group);
    const rows = settings.map((setting) => `| ${cells(setting).join(' | ')} |`);
    return [`### ${group}`, '', '| variable | default | allowed | what it does |', '|---|---|---|---|', ...rows].join(
      '\n',
    );
  }).join('\n\n');
}

function cells(setting: Setting<unknown>): string[] {
  const fallback = setting.default === undefined ? (setting.unset ?? 'none') : `\`${setting.default}\``;
  const empty = setting.emptyMeans === undefined ? '' : `; empty: ${setting.emptyMeans}`;
  return [`\`${setting.variable}\``, fallback, setting.kind.allowed + empty, setting.about].map((text) =>
    text
      .replaceAll('|', '\\|')
      .split('`')
      // Between back-ticks, at the odd places, Markdown shows everything as it is.
      .map((part, at) => (at % 2 === 0 ? part.replaceAll('<', '&lt;') : part))
      .join('`'),
  );
}
