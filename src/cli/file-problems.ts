import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Setting } from '../config/setting.js';
import { SETTINGS } from '../config/settings.js';
import { shapeOf } from '../config/shape-of.js';
import type { Config, ConfigProblem, TlsConfig } from '../config.js';
import { defaultCatalogue } from '../domain/default-catalogue.js';
import { CatalogueError, parseCatalogue } from '../domain/method-catalogue.js';
import type { Clock } from '../ports/clock.js';
import { createSessions } from '../transport/http/sessions/create-sessions.js';
import { parseRoutes, RoutesError } from '../transport/routes-file.js';
import { readTlsFiles } from '../transport/tls-files.js';

/** Most mistakes of one file that are told. */
const SHOWN_MAX = 10;

/**
 * Reads every file that the configuration names as the start would, and returns what keeps it from starting: all of it
 * at once, each under the name of its variable. Nothing of what the files hold is kept.
 */
export async function fileProblems(config: Config, clock: Clock): Promise<readonly ConfigProblem[]> {
  const { methodsFile, routesFile, tls, session } = config;
  const files = new Files();
  const methods =
    methodsFile === null
      ? defaultCatalogue()
      : await files.use(SETTINGS.methodsFile, methodsFile, 'a method catalogue', (text) =>
          parseCatalogue(text, methodsFile),
        );
  if (routesFile !== null) {
    // Which methods there are is not known when their own file is broken: any will do.
    const known = methods ?? { find: () => true };
    await files.use(SETTINGS.routesFile, routesFile, 'a file of routes', (text) =>
      parseRoutes(text, routesFile, known),
    );
  }
  if (tls !== null) await useTls(files, tls);
  if (session.mode === 'jwt' && session.key.kind === 'public-key') {
    const what = 'a public key in PEM that fits LATCHKEY_JWT_ALGORITHM';
    await files.use(SETTINGS.jwtPublicKeyFile, session.key.file, what, () =>
      createSessions(session, { clock, source: { accountOf: async () => null } }),
    );
  }
  return files.problems;
}

async function useTls(files: Files, tls: TlsConfig): Promise<void> {
  const { certFile, keyFile, clientCaFile } = tls;
  const cert = await files.use(SETTINGS.tlsCert, certFile, CERTIFICATE, (text) => text);
  const key = await files.use(SETTINGS.tlsKey, keyFile, PRIVATE_KEY, (text) => text);
  const clientCa =
    clientCaFile === null ? null : await files.use(SETTINGS.tlsClientCa, clientCaFile, CERTIFICATE, (text) => text);
  if (cert === undefined || key === undefined || clientCa === undefined) return;
  // Only TLS itself knows what it can use, but not which of the files it cannot.
  const [culprit, file, what] = isBroken(() => new X509Certificate(cert))
    ? ([SETTINGS.tlsCert, certFile, CERTIFICATE] as const)
    : clientCa !== null && clientCaFile !== null && isBroken(() => new X509Certificate(clientCa))
      ? ([SETTINGS.tlsClientCa, clientCaFile, CERTIFICATE] as const)
      : isBroken(() => createPrivateKey(key))
        ? ([SETTINGS.tlsKey, keyFile, PRIVATE_KEY] as const)
        : ([SETTINGS.tlsKey, keyFile, `${PRIVATE_KEY} that belongs to LATCHKEY_TLS_CERT`] as const);
  await files.use(culprit, file, what, () => readTlsFiles(tls));
}

const CERTIFICATE = 'a certificate in PEM';
const PRIVATE_KEY = 'a private key in PEM';

function isBroken(read: () => unknown): boolean {
  try {
    read();
    return false;
  } catch {
    return true;
  }
}

/** Files that are tried one after another, and what was wrong with them. */
class Files {
  readonly problems: ConfigProblem[] = [];

  /** Reads a file and returns what `use` makes of it; `undefined` when that cannot be done, which is noted. */
  async use<T>(
    { variable }: Setting<unknown>,
    file: string,
    what: string,
    use: (text: string) => T | Promise<T>,
  ): Promise<T | undefined> {
    const allowed = `the path of ${what}`;
    let text: string;
    try {
      text = await readFile(file, 'utf8');
    } catch (error) {
      // Without the path itself: what is no file may be a secret that was meant for another variable.
      const [why] = messageOf(error).split(', ');
      this.problems.push({ variable, given: `${shapeOf(file, false)} and cannot be read (${why})`, allowed });
      return undefined;
    }
    try {
      return await use(text);
    } catch (error) {
      for (const problem of mistakesIn(error)) {
        this.problems.push({ variable, given: `names a file that cannot be used (${problem})`, allowed });
      }
      return undefined;
    }
  }
}

function mistakesIn(error: unknown): readonly string[] {
  if (!(error instanceof CatalogueError || error instanceof RoutesError)) return [messageOf(error)];
  const { problems } = error;
  const hidden = problems.length - SHOWN_MAX;
  return hidden > 0 ? [...problems.slice(0, SHOWN_MAX), `and ${hidden} more like these`] : problems;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
