import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

/** Debian's Chromium. */
const EXECUTABLE = '/usr/bin/chromium';

/** Quiet, without a sandbox (tests may run as root), and with nothing that calls home. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * Whether Chromium is there. Where peers are demanded (`CI=true` or `LATCHKEY_REQUIRE_PEERS=1`) its absence is an
 * error; elsewhere it is said loudly and the tests are skipped.
 */
export function chromiumIsHere(): boolean {
  if (existsSync(EXECUTABLE)) return true;
  const message = `Chromium is missing at ${EXECUTABLE} (apt-get install chromium)`;
  if (process.env.CI === 'true' || process.env.LATCHKEY_REQUIRE_PEERS === '1') throw new Error(message);
  console.error(`\n*** SKIPPED: browser tests. ${message} ***\n`);
  return false;
}

export function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: EXECUTABLE, headless: true, args: FLAGS });
}
