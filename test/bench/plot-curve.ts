import { escapeXml } from './plot.js';
import type { Curve } from './row.js';

const WIDTH = 900;
const HEIGHT = 420;
const LEFT = 80;
const RIGHT = 200;
const TOP = 50;
const BOTTOM = 80;
const COLOURS = ['#2a7f62', '#b3402a', '#30589a', '#8a6d1b', '#6b3f8f', '#444444'];
const TICKS = 5;

/** Draws lines over one axis. */
export function plotCurve(curve: Curve, caption: string): string {
  const { lines, logarithmic = false } = curve;
  const points = lines.flatMap((line) => line.points);
  const x = scale(
    points.map(([value]) => value),
    LEFT,
    WIDTH - RIGHT,
    logarithmic,
  );
  const y = scale(
    [...(logarithmic ? [] : [0]), ...points.map(([, value]) => value)],
    HEIGHT - BOTTOM,
    TOP,
    logarithmic,
  );
  const grid = y.ticks.map((value) => {
    const at = y.at(value).toFixed(1);
    return `<line x1="${LEFT}" y1="${at}" x2="${WIDTH - RIGHT}" y2="${at}" stroke="#dddddd"/><text x="${LEFT - 6}" y="${Number(at) + 4}" text-anchor="end">${short(value)}</text>`;
  });
  const feet = x.ticks.map(
    (value) =>
      `<text x="${x.at(value).toFixed(1)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${short(value)}</text>`,
  );
  const drawn = lines.map(({ label, points: own }, index) => {
    const colour = COLOURS[index % COLOURS.length];
    const path = own.map(([px, py]) => `${x.at(px).toFixed(1)},${y.at(py).toFixed(1)}`).join(' ');
    const dots =
      own.length > 30
        ? ''
        : own
            .map(
              ([px, py]) => `<circle cx="${x.at(px).toFixed(1)}" cy="${y.at(py).toFixed(1)}" r="3" fill="${colour}"/>`,
            )
            .join('');
    const key = TOP + index * 20;
    return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${dots}<rect x="${WIDTH - RIGHT + 14}" y="${key - 9}" width="12" height="12" fill="${colour}"/><text x="${WIDTH - RIGHT + 32}" y="${key + 2}">${escapeXml(label)}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="13">`,
    `<title>${escapeXml(curve.title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    `<text x="${LEFT}" y="24" font-size="15">${escapeXml(curve.title)}</text>`,
    ...grid,
    ...feet,
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - BOTTOM + 40}" text-anchor="middle">${escapeXml(curve.xLabel)}</text>`,
    `<text x="18" y="${(TOP + HEIGHT - BOTTOM) / 2}" text-anchor="middle" transform="rotate(-90 18 ${(TOP + HEIGHT - BOTTOM) / 2})">${escapeXml(curve.yLabel)}</text>`,
    ...drawn,
    `<text x="${LEFT}" y="${HEIGHT - 12}" fill="#555555">${escapeXml(caption)}</text>`,
    '</svg>',
    '',
  ].join('\n');
}

interface Scale {
  at(value: number): number;
  readonly ticks: readonly number[];
}

function scale(values: readonly number[], from: number, to: number, logarithmic: boolean): Scale {
  const seen = values.filter((value) => Number.isFinite(value) && (!logarithmic || value > 0));
  const low = Math.min(...seen);
  const high = Math.max(...seen);
  if (logarithmic) {
    const first = Math.floor(Math.log10(low));
    const last = Math.max(first + 1, Math.ceil(Math.log10(high)));
    return {
      at: (value) => from + ((Math.log10(value) - first) / (last - first)) * (to - from),
      ticks: Array.from({ length: last - first + 1 }, (_, index) => 10 ** (first + index)),
    };
  }
  const step = niceStep((high - low || 1) / TICKS);
  const first = Math.floor(low / step) * step;
  const last = Math.max(first + step, Math.ceil(high / step) * step);
  return {
    at: (value) => from + ((value - first) / (last - first)) * (to - from),
    ticks: Array.from({ length: Math.round((last - first) / step) + 1 }, (_, index) => first + index * step),
  };
}

/** 1, 2 or 5 times a power of ten. */
function niceStep(raw: number): number {
  const power = 10 ** Math.floor(Math.log10(raw));
  const factor = raw / power;
  return power * (factor <= 1 ? 1 : factor <= 2 ? 2 : factor <= 5 ? 5 : 10);
}

function short(value: number): string {
  return Number(value.toPrecision(4)).toLocaleString('en');
}
