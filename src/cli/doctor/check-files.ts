import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { CommandConfig, TlsConfig } from '../../config.js';
import { defaultCatalogue } from '../../domain/default-catalogue.js';
import { type MethodCatalogue, parseCatalogue } from '../../domain/method-catalogue.js';
import type { Clock } from '../../ports/clock.js';
import { parseRoutes } from '../../transport/routes-file.js';
import { codeOf, type Finding, fail, ok, reasonOf, warn } from './finding.js';

const DAY_MS = 86_400_000;

/** Days before a certificate's end from which it is time to see to it. */
const EXPIRY_WARN_DAYS = 14;

/** Reads the catalogue and the routes as a start would. */
export async function checkTables(config: CommandConfig): Promise<Finding[]> {
  const findings: Finding[] = [];
  let methods: MethodCatalogue = defaultCatalogue();
  const { methodsFile, routesFile } = config;
  if (methodsFile !== null) {
    findings.push(
      await reading('LATCHKEY_METHODS_FILE', methodsFile, (text) => {
        methods = parseCatalogue(text, methodsFile);
        return `${methods.entries.length} methods`;
      }),
    );
  }
  if (routesFile !== null) {
    findings.push(
      await reading('LATCHKEY_ROUTES_FILE', routesFile, (text) => {
        parseRoutes(text, routesFile, methods);
        return 'every route is understood';
      }),
    );
  }
  return findings;
}

/** Reads certificate and key, and looks whether they fit and how long they last. */
export async function checkTls(tls: TlsConfig, clock: Clock): Promise<Finding[]> {
  const nowMs = clock.wallMs();
  let key = '';
  const findings = [
    await reading('LATCHKEY_TLS_KEY', tls.keyFile, (text) => {
      createPublicKey(createPrivateKey(text));
      key = text;
      return 'a private key';
    }),
    await reading('LATCHKEY_TLS_CERT', tls.certFile, (text) => {
      const certificate = new X509Certificate(text);
      if (key !== '' && !certificate.checkPrivateKey(createPrivateKey(key))) {
        throw new Error('it does not belong to LATCHKEY_TLS_KEY');
      }
      return describeExpiry(certificate, nowMs);
    }),
  ];
  if (tls.clientCaFile !== null) {
    findings.push(
      await reading('LATCHKEY_TLS_CLIENT_CA', tls.clientCaFile, (text) => {
        const certificate = new X509Certificate(text);
        if (!certificate.ca) throw new Error('it is no certificate of an authority');
        return describeExpiry(certificate, nowMs);
      }),
    );
  }
  return findings.map((finding) => (finding.detail.startsWith(EXPIRES_SOON) ? soon(finding) : finding));
}

const EXPIRES_SOON = 'expires soon';

function soon(finding: Finding): Finding {
  return warn(finding.subject, finding.detail, 'renew it; the file is read again when it changes, without a restart');
}

function describeExpiry(certificate: X509Certificate, nowMs: number): string {
  const validToMs = Date.parse(certificate.validTo);
  if (Date.parse(certificate.validFrom) > nowMs) throw new Error(`it is valid only from ${certificate.validFrom}`);
  if (validToMs <= nowMs) throw new Error(`it expired on ${certificate.validTo}`);
  const days = Math.floor((validToMs - nowMs) / DAY_MS);
  return days < EXPIRY_WARN_DAYS ? `${EXPIRES_SOON}, on ${certificate.validTo}` : `valid until ${certificate.validTo}`;
}

/** Reads a file and has it looked at; what `look` returns is the good news, what it throws the bad. */
async function reading(variable: string, file: string, look: (text: string) => string): Promise<Finding> {
  const subject = `${variable} ${file}`;
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const remedy = codeOf(error) === 'ENOENT' ? 'correct the path, or mount the file' : 'let this user read the file';
    return fail(subject, reasonOf(error), remedy);
  }
  try {
    return ok(subject, look(text));
  } catch (error) {
    return fail(subject, reasonOf(error), 'correct the file');
  }
}
