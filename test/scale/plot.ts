import { percentile } from '../bench/statistics.js';
import type { Calculated } from './calculate.js';
import type { FleetMeasured, summaryOf } from './measure.js';

const WIDTH = 860;
const HEIGHT = 470;
const LEFT = 70;
const TOP = 50;
const RIGHT = 190;
const BOTTOM = 80;
/** One colour a size of fleet; distinct without red and green side by side. */
const COLOURS = ['#0b6e99', '#d97706', '#6d28d9', '#4b5563', '#be185d'] as const;

type Point = readonly [number, number];

/** A logarithmic axis from `from` to `to`, over so many pixels. */
function logScale(from: number, to: number, pixels: number) {
  const span = Math.log10(to / from);
  return (value: number) => (Math.log10(Math.max(value, from) / from) / span) * pixels;
}

function decades(from: number, to: number): number[] {
  const ticks: number[] = [];
  for (let tick = from; tick <= to * 1.0001; tick *= 10) ticks.push(tick, tick * 2, tick * 5);
  return ticks.filter((tick) => tick <= to * 1.0001);
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function polyline(points: readonly Point[], colour: string, dashed: boolean): string {
  const path = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' ');
  return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"${dashed ? ' stroke-dasharray="6 4"' : ''}/>`;
}

interface Frame {
  readonly title: string;
  readonly caption: string;
  readonly xTitle: string;
  readonly yTitle: string;
  readonly xTicks: readonly (readonly [number, string])[];
  readonly yTicks: readonly (readonly [number, string])[];
  readonly legend: readonly { readonly text: string; readonly colour: string; readonly dashed: boolean }[];
  readonly body: readonly string[];
}

/** Draws axes, a legend and what is between them; ticks are in pixels from the lower left corner. */
function draw({ title, caption, xTitle, yTitle, xTicks, yTicks, legend, body }: Frame): string {
  const bottom = HEIGHT - BOTTOM;
  const right = WIDTH - RIGHT;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="13">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    `<text x="${LEFT}" y="26" font-size="16">${escapeXml(title)}</text>`,
    ...xTicks.map(
      ([x, text]) =>
        `<line x1="${(LEFT + x).toFixed(1)}" y1="${TOP}" x2="${(LEFT + x).toFixed(1)}" y2="${bottom}" stroke="#e5e7eb"/>` +
        `<text x="${(LEFT + x).toFixed(1)}" y="${bottom + 18}" text-anchor="middle">${text}</text>`,
    ),
    ...yTicks.map(
      ([y, text]) =>
        `<line x1="${LEFT}" y1="${(bottom - y).toFixed(1)}" x2="${right}" y2="${(bottom - y).toFixed(1)}" stroke="#e5e7eb"/>` +
        `<text x="${LEFT - 8}" y="${(bottom - y + 4).toFixed(1)}" text-anchor="end">${text}</text>`,
    ),
    `<path d="M${LEFT} ${TOP}V${bottom}H${right}" fill="none" stroke="#374151"/>`,
    ...body,
    `<text x="${(LEFT + right) / 2}" y="${bottom + 38}" text-anchor="middle">${escapeXml(xTitle)}</text>`,
    `<text transform="translate(18 ${(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">${escapeXml(yTitle)}</text>`,
    ...legend.map(
      ({ text, colour, dashed }, index) =>
        `${polyline(
          [
            [right + 14, TOP + 12 + index * 22],
            [right + 44, TOP + 12 + index * 22],
          ],
          colour,
          dashed,
        )}<text x="${right + 50}" y="${TOP + 16 + index * 22}">${escapeXml(text)}</text>`,
    ),
    `<text x="${LEFT}" y="${HEIGHT - 14}" fill="#4b5563" font-size="11">${escapeXml(caption)}</text>`,
    '</svg>',
    '',
  ].join('\n');
}

/** The share of revocations that were confirmed within a time, for each fleet; busy ones dashed. */
export function plotConfirmations(measured: readonly FleetMeasured[], caption: string): string {
  const shown = measured.filter(({ sidecars }) => sidecars <= 32);
  const all = shown.flatMap(({ totalMs }) => totalMs);
  const from = 1;
  const to = 10 ** Math.ceil(Math.log10(Math.max(...all)));
  const x = logScale(from, to, WIDTH - RIGHT - LEFT);
  const height = HEIGHT - BOTTOM - TOP;
  const sizes = [...new Set(shown.map(({ sidecars }) => sidecars))];
  const colourOf = (sidecars: number) => COLOURS[sizes.indexOf(sidecars) % COLOURS.length] as string;
  const curve = (values: readonly number[]): Point[] =>
    Array.from({ length: 201 }, (_, index) => {
      const share = index / 200;
      return [LEFT + x(percentile(values, Math.min(share, 1 - 1e-9))), HEIGHT - BOTTOM - share * height];
    });
  return draw({
    title: 'From DELETE to proof: share of revocations confirmed within a time',
    caption,
    xTitle: 'ms, the commit included',
    yTitle: 'share of revocations',
    xTicks: decades(from, to).map((tick) => [x(tick), String(tick)]),
    yTicks: [0, 0.25, 0.5, 0.75, 0.9, 1].map((share) => [share * height, `${share * 100} %`]),
    legend: shown.map(({ sidecars, load }) => ({
      text: `${sidecars} ${sidecars === 1 ? 'sidecar' : 'sidecars'}, ${load === 0 ? 'idle' : 'busy'}`,
      colour: colourOf(sidecars),
      dashed: load > 0,
    })),
    body: shown.map(({ sidecars, load, totalMs }) => polyline(curve(totalMs), colourOf(sidecars), load > 0)),
  });
}

/** Time of a barrier over the size of the fleet: measured, and calculated as the least that servers can do. */
export function plotScale(
  measured: readonly ReturnType<typeof summaryOf>[],
  calculated: readonly Calculated[],
  caption: string,
): string {
  const xTo = 10_000;
  const x = logScale(1, xTo, WIDTH - RIGHT - LEFT);
  const idle = measured.filter(({ load }) => load === 0);
  const finite = calculated.flatMap(({ barrierMsOn }) => Object.values(barrierMsOn)).filter(Number.isFinite);
  const to = 10 ** Math.ceil(Math.log10(Math.max(...finite, ...idle.map(({ barrierMs }) => barrierMs.p99))));
  const height = HEIGHT - BOTTOM - TOP;
  const y = logScale(1, to, height);
  const at = (sidecars: number, ms: number): Point => [LEFT + x(sidecars), HEIGHT - BOTTOM - y(ms)];
  const measuredLines = (['p50', 'p99'] as const).map((share, index) => ({
    text: `measured, ${share}`,
    colour: COLOURS[0],
    dashed: index === 1,
    points: idle.map(({ sidecars, barrierMs }) => at(sidecars, barrierMs[share])),
  }));
  const calculatedLines = (['2', '8', '32'] as const).map((cores, index) => ({
    text: `least on ${cores} cores`,
    colour: COLOURS[index + 1] as string,
    dashed: false,
    points: calculated
      .filter(({ barrierMsOn }) => Number.isFinite(barrierMsOn[cores]))
      .map(({ sidecars, barrierMsOn }) => at(sidecars, barrierMsOn[cores])),
  }));
  const lines = [...measuredLines, ...calculatedLines];
  return draw({
    title: 'Time of a barrier over the size of the fleet',
    caption,
    xTitle: 'sidecars',
    yTitle: 'ms from commit to proof',
    xTicks: [1, 10, 100, 1_000, 10_000].map((tick) => [x(tick), tick.toLocaleString('en')]),
    yTicks: decades(1, to).map((tick) => [y(tick), tick.toLocaleString('en')]),
    legend: lines,
    body: lines.map(({ points, colour, dashed }) => polyline(points, colour, dashed)),
  });
}
