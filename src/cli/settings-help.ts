import { SETTING_GROUPS, type Setting } from '../config/setting.js';
import { SETTINGS } from '../config/settings.js';

const WIDTH = 100;

/** Every setting with what it does, what it may be and its default, for a terminal. */
export function settingsHelp(): string {
  const sections = SETTING_GROUPS.map((group) => {
    const settings = Object.values(SETTINGS).filter((setting) => setting.group === group);
    return [`${group}:`, ...settings.map(describe)].join('\n');
  });
  return ['Settings are environment variables.', ...sections].join('\n\n');
}

function describe(setting: Setting<unknown>): string {
  const fallback = setting.default ?? setting.unset ?? 'none';
  const empty = setting.emptyMeans === undefined ? '' : `; empty: ${setting.emptyMeans}`;
  const lines = wrap(`${setting.about} Must be ${setting.kind.allowed}${empty}.`.replaceAll('`', ''), WIDTH - 6);
  return [
    `  ${setting.variable}  (default: ${fallback.replaceAll('`', '')})`,
    ...lines.map((line) => `      ${line}`),
  ].join('\n');
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
