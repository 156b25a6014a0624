import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { TlsConfig } from '../config.js';
import type { CancelTimer, Timers } from '../ports/clock.js';
import type { Logger } from '../ports/logger.js';

/** How often, in ms, the files are read again. */
export const TLS_POLL_MS = 2_000;

/** What the files hold: a key and a certificate that fit each other, and the authority of clients, all in PEM. */
export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** `null`: clients show no certificate. */
  readonly clientCa: Buffer | null;
}

/** What {@link watchTlsFiles} is made of. */
export interface TlsFilesParts {
  readonly timers: Timers;
  readonly logger: Logger;
  /** Told of each change of the files: taken over, or refused because they are broken. For a counter. */
  readonly onOutcome?: (outcome: 'reloaded' | 'refused') => void;
}

/** The TLS files of a listener, kept current. */
export interface TlsFiles {
  /** What to serve with now. */
  readonly current: TlsMaterial;
  /** Calls `listener` with each new material until the returned function is called. Not called with the current one. */
  subscribe(listener: (material: TlsMaterial) => void): () => void;
  /** Stops looking at the files. */
  stop(): void;
}

/**
 * Reads the files and follows their changes.
 *
 * Rejects when the first reading is not usable: a listener must not start without what it was told to use. Later, broken
 * files (half-written, a key that does not fit its certificate) change nothing: what was last good stays, the problem is
 * logged and counted once, and the next reading tries again.
 *
 * The contents are compared, at an interval, instead of waiting for events of the file system: those differ between
 * systems, and miss the exchanged symbolic links by which Kubernetes replaces secrets.
 */
export async function watchTlsFiles(config: TlsConfig, parts: TlsFilesParts): Promise<TlsFiles> {
  const { timers, logger, onOutcome } = parts;
  const listeners = new Set<(material: TlsMaterial) => void>();
  let current = await readTlsFiles(config);
  let refused: TlsMaterial | string | null = null;
  let stopped = false;
  let cancel: CancelTimer = () => {};

  const refuse = (what: TlsMaterial | string, error: unknown) => {
    refused = what;
    logger.error('the TLS files changed but are not usable; the last good ones stay in force', { error });
    onOutcome?.('refused');
  };

  const look = async () => {
    const found = await readMaterial(config).catch((error: NodeJS.ErrnoException) => error);
    if (stopped) return;
    if (found instanceof Error) {
      const problem = found.message;
      if (refused !== problem) refuse(problem, found);
      return;
    }
    if (sameMaterial(found, current)) {
      refused = null;
      return;
    }
    if (refused !== null && typeof refused !== 'string' && sameMaterial(found, refused)) return;
    try {
      assertUsable(found);
    } catch (error) {
      refuse(found, error);
      return;
    }
    current = found;
    refused = null;
    logger.info('the TLS files changed and were taken over', { validTo: new X509Certificate(found.cert).validTo });
    onOutcome?.('reloaded');
    for (const listener of listeners) listener(found);
  };

  const arm = () => {
    cancel = timers.after(TLS_POLL_MS, () => {
      void look().finally(() => {
        if (!stopped) arm();
      });
    });
  };
  arm();

  return {
    get current() {
      return current;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    stop() {
      stopped = true;
      cancel();
    },
  };
}

/** Reads the files once. Rejects when a listener could not serve with what they hold. */
export async function readTlsFiles(config: TlsConfig): Promise<TlsMaterial> {
  const material = await readMaterial(config);
  assertUsable(material);
  return material;
}

async function readMaterial({ certFile, keyFile, clientCaFile }: TlsConfig): Promise<TlsMaterial> {
  const [cert, key, clientCa] = await Promise.all([
    readFile(certFile),
    readFile(keyFile),
    clientCaFile === null ? null : readFile(clientCaFile),
  ]);
  return { cert, key, clientCa };
}

/** Throws when a listener could not serve with it: not PEM, or a key that does not fit the certificate. */
function assertUsable({ cert, key, clientCa }: TlsMaterial): void {
  createSecureContext({ cert, key, ...(clientCa === null ? {} : { ca: clientCa }) });
  // An authority file that holds no certificate is accepted above, and would then trust nobody.
  if (clientCa !== null) new X509Certificate(clientCa);
}

function sameMaterial(a: TlsMaterial, b: TlsMaterial): boolean {
  const sameCa = a.clientCa === null || b.clientCa === null ? a.clientCa === b.clientCa : a.clientCa.equals(b.clientCa);
  return sameCa && a.cert.equals(b.cert) && a.key.equals(b.key);
}
