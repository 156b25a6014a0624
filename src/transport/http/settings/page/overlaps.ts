/** How long an old key may go on working after a rotation. A day by default: time to deploy the new one. */
export const OVERLAPS = [
  { seconds: 0, label: 'Now', byDefault: false },
  { seconds: 3600, label: 'After 1 hour', byDefault: false },
  { seconds: 86_400, label: 'After 24 hours', byDefault: true },
  { seconds: 604_800, label: 'After 7 days', byDefault: false },
] as const;

/** E.g. `after 24 hours`. */
export function overlapText(seconds: number): string {
  const label = OVERLAPS.find((overlap) => overlap.seconds === seconds)?.label ?? `After ${seconds} seconds`;
  return label.toLowerCase();
}
