import { type Finding, isMet } from './row.js';

const BAR = 22;
const LEFT = 430;
const WIDTH = 1000;
/** Where a score that just keeps its bound ends, in pixels from the left. */
const BOUND_AT = 300;

/**
 * Draws one bar a finding, scaled so that every bound stands on one line: a bar for "at most" should end before it, a
 * bar for "at least" beyond it.
 */
export function plotFindings(
  rows: readonly { readonly name: string; readonly finding: Finding }[],
  caption: string,
): string {
  const height = rows.length * (BAR + 10) + 70;
  const bars = rows.map(({ name, finding }, index) => {
    const { score, bound } = finding;
    const limit = bound === undefined ? score : 'atMost' in bound ? bound.atMost : bound.atLeast;
    const length = Math.min((score / limit) * BOUND_AT, WIDTH - LEFT - 110);
    const y = 40 + index * (BAR + 10);
    const sign = bound !== undefined && 'atMost' in bound ? '≤' : '≥';
    const text = `${Number(score.toPrecision(3)).toLocaleString('en')} (${sign} ${limit.toLocaleString('en')})`;
    return [
      `<text x="${LEFT - 8}" y="${y + 15}" text-anchor="end">${escapeXml(`${name}: ${finding.what}`)}</text>`,
      `<rect x="${LEFT}" y="${y}" width="${length.toFixed(1)}" height="${BAR}" fill="${isMet(finding) ? '#2a7f62' : '#b3402a'}"/>`,
      `<text x="${(LEFT + Math.max(length, BOUND_AT) + 8).toFixed(1)}" y="${y + 15}">${escapeXml(text)}</text>`,
    ].join('');
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="13">`,
    `<title>Scores against their bounds</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="${LEFT}" y="22">score; the line is the bound of each row</text>`,
    ...bars,
    `<line x1="${LEFT + BOUND_AT}" y1="32" x2="${LEFT + BOUND_AT}" y2="${height - 34}" stroke="#222222" stroke-dasharray="4 3"/>`,
    `<text x="${LEFT}" y="${height - 12}" fill="#555555">${escapeXml(caption)}</text>`,
    '</svg>',
    '',
  ].join('\n');
}

/** Text that may stand in an SVG. */
export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
