import { posix } from 'node:path';

/** A source file: its path from the repository's root, with forward slashes, and its text. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/**
 * What each part of `src` may import besides itself. Parts are folders, or single files at the top of `src`; the
 * longest name that fits a path wins. A part that is not named here may not exist.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  ports: ['domain'],
  coherence: ['ports', 'domain'],
  service: ['ports', 'domain'],
  gen: [],
  // Values that were parsed once; pure types and functions, at the bottom beside the ports.
  config: ['domain'],
  lifecycle: ['ports'],
  store: ['service', 'coherence', 'ports', 'domain'],
  'store/postgres': ['store', 'service', 'coherence', 'ports', 'domain', 'config'],
  'store/embedded': ['ports', 'domain', 'config'],
  observability: ['service', 'coherence', 'ports', 'domain'],
  transport: ['service', 'coherence', 'ports', 'domain', 'config'],
  'transport/grpc': ['transport', 'gen', 'service', 'coherence', 'ports', 'domain', 'config'],
  'transport/http': ['transport', 'service', 'coherence', 'ports', 'domain', 'config'],
  // Runs in a browser.
  'transport/http/settings/page': [],
  // The CLI asks a running sidecar, and so is a client.
  client: ['gen'],
  app: [
    'transport',
    'transport/grpc',
    'transport/http',
    'store',
    'store/postgres',
    'store/embedded',
    'observability',
    'service',
    'coherence',
    'ports',
    'domain',
    'config',
    'lifecycle',
  ],
  // Several processes, each with an application.
  fleet: ['app', 'transport', 'observability', 'ports', 'config'],
  cli: [
    'gen',
    'app',
    'fleet',
    'transport',
    'transport/http',
    'client',
    'store',
    'store/postgres',
    'store/embedded',
    'observability',
    'service',
    'coherence',
    'ports',
    'domain',
    'config',
    'lifecycle',
  ],
  main: ['cli', 'observability'],
};

/** The settings page, which runs in a browser. */
const PAGE = 'src/transport/http/settings/page/';

/** What only the named files, and folders with a final slash, may use, and why they may. */
const RESERVED: readonly {
  readonly what: string;
  readonly pattern: RegExp;
  readonly files: Readonly<Record<string, string>>;
}[] = [
  {
    what: 'the environment, the exit or the arguments of the process',
    pattern: /\bprocess\s*\.\s*(env|exit|exitCode|argv)\b/,
    files: {
      'src/main.ts': 'the entry: everything else is told',
      [PAGE]: 'a browser has no process; the snippets it shows are programs of their readers',
    },
  },
  {
    what: 'a clock',
    pattern: /\bDate\s*\.\s*now\b|\bnew\s+Date\s*\(\s*\)|\bperformance\s*\.\s*now\b|\bhrtime\b/,
    files: {
      'src/observability/system-clock.ts': 'the clock adapter itself',
      'src/client/timing.ts': 'the client runs in the program of somebody else, who gives it no port',
      'src/transport/http/settings/page/now.ts': 'the clock of the page, in the browser',
    },
  },
  {
    what: 'a timer',
    // A socket's own `setTimeout` watches that socket.
    pattern: /(?<!\.)\bset(Timeout|Interval)\s*\(|['"](node:)?timers(\/promises)?['"]|\bAbortSignal\s*\.\s*timeout\b/,
    files: {
      'src/observability/system-timers.ts': 'the timers adapter itself',
      'src/client/timing.ts': 'the client runs in the program of somebody else, who gives it no port',
      [PAGE]: 'a browser has timers and no port for them',
    },
  },
];

/** Every way in which the files break a rule, as a sentence each. */
export function sourceViolations(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const code = withoutComments(file.text);
    return [...wrongArrows(file.path, code), ...reservedUses(file.path, code)];
  });
}

function wrongArrows(path: string, code: string): string[] {
  const from = partOf(path);
  if (from === undefined) return [`${path} is in no part of the layout`];
  return importsOf(code)
    .filter((specifier) => specifier.startsWith('.'))
    .flatMap((specifier) => {
      const target = posix.join(posix.dirname(path), specifier);
      const to = partOf(target);
      if (to === from || (to !== undefined && MAY_IMPORT[from]?.includes(to))) return [];
      return [`${path} (${from}) imports ${target} (${to ?? 'outside the layout'})`];
    });
}

function reservedUses(path: string, code: string): string[] {
  return RESERVED.filter(({ pattern, files }) => {
    const excepted = Object.keys(files).some((name) => (name.endsWith('/') ? path.startsWith(name) : path === name));
    return !excepted && pattern.test(code);
  }).map(({ what }) => `${path} uses ${what}`);
}

/** The part that a path belongs to: the longest name that fits. */
function partOf(path: string): string | undefined {
  return Object.keys(MAY_IMPORT)
    .filter((part) => path.startsWith(`src/${part}/`) || path.replace(/\.(js|ts|mjs|json)$/, '') === `src/${part}`)
    .sort((a, b) => b.length - a.length)[0];
}

function importsOf(code: string): string[] {
  const statements = code.matchAll(/\b(?:import|export)\b(?:[^'";]*?\bfrom)?\s*\(?\s*(['"])([^'"]+)\1/g);
  return [...statements].map((match) => match[2] ?? '');
}

/** Blanks comments, so that one may speak of what the code may not do. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, ' ').replace(/(^|[^:'"`\\/])\/\/.*$/gm, '$1');
}
