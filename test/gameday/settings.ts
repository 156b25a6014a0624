import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CertificateAuthority } from '../support/certificates.js';
import { PostgresServer } from '../support/postgres-server.js';
import type { Setting } from './scenario.js';
import { mountSmallDisk, unmountSmallDisk } from './small-disk.js';
import { type ReadyDatabase, readyDatabase, startEmbeddedWorld, startWorld, type World } from './world.js';

const LIBRARIES = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64'];
const FAKE_HOST = 'database.latchkey.test';
const DISK_MB = 320;
/** How long a certificate is good that is not meant to expire, ms. */
const LONG_MS = 86_400_000 * 90;

const SERVER_SETTINGS = { max_connections: '60', min_wal_size: '32MB', max_wal_size: '64MB' };

let folder: string | null = null;
let authority: CertificateAuthority | null = null;
let shared: ReadyDatabase | null = null;

async function ownFolder(): Promise<string> {
  folder ??= await mkdtemp(join(tmpdir(), 'latchkey-gameday-files-'));
  return folder;
}

/** Puts the host name of the database into the shimmed sidecars' name service, or takes it out. */
export async function setFakeHosts(known: boolean): Promise<void> {
  await replace(
    join(await ownFolder(), 'hosts'),
    known ? `127.0.0.1 ${FAKE_HOST}\n` : '127.0.0.1 nothing.latchkey.test\n',
  );
}

/** Sets the wall clock of the shimmed sidecars so many seconds off; monotonic clocks go on. */
export async function setFakeTime(seconds: number): Promise<void> {
  await replace(join(await ownFolder(), 'time'), `${seconds >= 0 ? '+' : ''}${seconds}\n`);
}

/**
 * Gives the sidecars with TLS a new certificate.
 *
 * @param lifeMs how long it is good; `null`: for long
 * @returns when it expires, in ms of the wall clock
 */
export async function renewCertificate(lifeMs: number | null): Promise<number> {
  authority ??= new CertificateAuthority('Game day');
  // Certificates know whole seconds only.
  const endsAtMs = Math.ceil((Date.now() + (lifeMs ?? LONG_MS)) / 1_000) * 1_000;
  const { cert, key } = authority.issue({
    commonName: 'latchkey',
    ips: ['127.0.0.1'],
    dns: ['localhost'],
    notAfter: new Date(endsAtMs),
  });
  const directory = await ownFolder();
  await replace(join(directory, 'key.pem'), key);
  await replace(join(directory, 'cert.pem'), cert);
  return endsAtMs;
}

async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}

function findLibrary(name: string): string | null {
  return LIBRARIES.map((directory) => join(directory, name)).find((path) => existsSync(path)) ?? null;
}

async function sharedDatabase(): Promise<ReadyDatabase> {
  shared ??= await readyDatabase(await PostgresServer.create(SERVER_SETTINGS));
  return shared;
}

/** Sets the stage, or says what this machine lacks for it. */
export async function startSetting(setting: Setting): Promise<World | { readonly missing: string }> {
  switch (setting) {
    case 'plain':
      return startWorld(await sharedDatabase());
    case 'shimmed': {
      const libraries = [findLibrary('libnss_wrapper.so'), findLibrary('faketime/libfaketimeMT.so.1')];
      if (libraries.includes(null))
        return { missing: 'libnss-wrapper and libfaketime (Debian: libnss-wrapper, faketime)' };
      await setFakeHosts(true);
      await setFakeTime(0);
      const directory = await ownFolder();
      return startWorld(await sharedDatabase(), {
        host: FAKE_HOST,
        env: {
          LD_PRELOAD: libraries.join(':'),
          NSS_WRAPPER_HOSTS: join(directory, 'hosts'),
          FAKETIME_TIMESTAMP_FILE: join(directory, 'time'),
          FAKETIME_NO_CACHE: '1',
          FAKETIME_DONT_FAKE_MONOTONIC: '1',
        },
      });
    }
    case 'tls': {
      await renewCertificate(null);
      const directory = await ownFolder();
      return startWorld(await sharedDatabase(), {
        env: { LATCHKEY_TLS_CERT: join(directory, 'cert.pem'), LATCHKEY_TLS_KEY: join(directory, 'key.pem') },
        ca: authority?.cert ?? '',
      });
    }
    case 'small disk': {
      const disk = await mountSmallDisk(DISK_MB);
      if (disk === null) return { missing: 'the right to mount a small disk' };
      const before = process.env['TMPDIR'];
      // Where servers of tests keep their data.
      process.env['TMPDIR'] = disk;
      const server = await PostgresServer.create(SERVER_SETTINGS).finally(() => {
        if (before === undefined) delete process.env['TMPDIR'];
        else process.env['TMPDIR'] = before;
      });
      const world = await startWorld(await readyDatabase(server));
      return {
        ...world,
        close: async () => {
          await world.close();
          await server.destroy();
          await unmountSmallDisk();
        },
      };
    }
    case 'embedded on a small disk': {
      const disk = await mountSmallDisk(DISK_MB);
      if (disk === null) return { missing: 'the right to mount a small disk' };
      const dataDir = join(disk, 'data');
      await mkdir(dataDir, { mode: 0o711 });
      const world = await startEmbeddedWorld(dataDir);
      return {
        ...world,
        close: async () => {
          await world.close();
          await unmountSmallDisk();
        },
      };
    }
    default:
      return setting satisfies never;
  }
}

/** Takes down what settings share. */
export async function endSettings(): Promise<void> {
  await shared?.server.destroy();
  if (folder !== null) await rm(folder, { recursive: true, force: true });
}
