import type { Violation } from './check.js';

const LINES_MAX = 40;

/** The lines of a trace that tell how a violation came about: those of its key, its sidecar, and of troubles. */
export function relevantLines(trace: readonly string[], violation: Violation): readonly string[] {
  const otherKey = /\b[KN]\d\b/;
  const lines = trace.filter((line) => {
    const atMs = Number.parseFloat(line);
    if (atMs > violation.atMs + 0.05) return false;
    if (line.includes(violation.key)) return true;
    if (otherKey.test(line)) return false;
    return / (trouble|psql|client|W\d) /.test(line) || line.includes(` ${violation.sidecar} `);
  });
  return lines.slice(-LINES_MAX);
}
