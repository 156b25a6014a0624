const SVG = 'http://www.w3.org/2000/svg';

/** Outlines on a grid of 20 by 20. */
const PATHS = {
  trash: [
    'M3.5 5.5h13',
    'M8 5.5V4a1 1 0 0 1 1-1h2a1 1 0 0 1 1 1v1.5',
    'M5 5.5l.7 10a1.5 1.5 0 0 0 1.5 1.5h5.6a1.5 1.5 0 0 0 1.5-1.5l.7-10',
    'M8.3 9v4.5',
    'M11.7 9v4.5',
  ],
  rotate: ['M16.5 8.2A6.8 6.8 0 0 0 4.6 6', 'M4.2 3v3.2h3.2', 'M3.5 11.8A6.8 6.8 0 0 0 15.4 14', 'M15.8 17v-3.2h-3.2'],
  copy: [
    'M7.5 7.5h8a1 1 0 0 1 1 1v8a1 1 0 0 1-1 1h-8a1 1 0 0 1-1-1v-8a1 1 0 0 1 1-1z',
    'M13.5 7.5V3.5a1 1 0 0 0-1-1h-8a1 1 0 0 0-1 1v8a1 1 0 0 0 1 1h2',
  ],
  check: ['M4 10.5l4 4 8-9'],
  close: ['M5 5l10 10', 'M15 5L5 15'],
  shield: ['M10 2.5l6 2.2v4.6c0 3.7-2.5 6.7-6 8.2-3.5-1.5-6-4.5-6-8.2V4.7z', 'M7.3 10l2 2 3.5-4'],
  warning: ['M10 3L2.5 16.5h15z', 'M10 8v4', 'M10 14.3v.1'],
  key: ['M10.2 12.5a3.4 3.4 0 1 1-6.8 0 3.4 3.4 0 0 1 6.8 0z', 'M9.2 10.1L16.5 2.8', 'M13 6.3l2.5 2.5'],
  chevron: ['M5.5 8l4.5 4.5L14.5 8'],
} as const;

/** The name of an icon. */
export type IconName = keyof typeof PATHS;

/** A decorative icon in the colour of the text around it; hidden from screen readers. */
export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 20 20');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  svg.setAttribute('focusable', 'false');
  for (const d of PATHS[name]) {
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('d', d);
    svg.append(path);
  }
  return svg;
}
