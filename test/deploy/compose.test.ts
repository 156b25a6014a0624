import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseCommandConfig, parseConfig } from '../../src/config.js';
import { testDatabase } from '../support/database.js';
import { describeWithPeer } from '../support/peers.js';

interface Service {
  readonly image: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly depends_on?: readonly string[] | Readonly<Record<string, unknown>>;
  readonly network_mode?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly stop_grace_period?: string;
  readonly healthcheck?: { readonly disable?: boolean };
}

const { services, volumes } = parse(readFileSync('deploy/compose.yaml', 'utf8'), { merge: true }) as {
  services: Readonly<Record<string, Service>>;
  volumes: Readonly<Record<string, unknown>>;
};
const latchkeys = Object.entries(services).filter(([, { image }]) => image.startsWith('latchkey:'));

describe('the installation for one machine', () => {
  it('sets nothing that the program would refuse', () => {
    expect(latchkeys.map(([name]) => name)).toEqual(['migrate', 'sidecar-a', 'sidecar-b', 'probe']);
    for (const [name, { environment = {} }] of latchkeys) {
      expect(
        ['migrate', 'probe'].includes(name) ? parseCommandConfig(environment) : parseConfig(environment),
      ).toHaveProperty('config');
    }
  });

  it('gives sidecars no more rights than they need, and time to drain', () => {
    for (const [, { read_only, cap_drop, stop_grace_period }] of latchkeys) {
      expect({ read_only, cap_drop }).toEqual({ read_only: true, cap_drop: ['ALL'] });
      expect(Number.parseInt(stop_grace_period ?? '0', 10)).toBeGreaterThan(10 + 2);
    }
  });

  // The probe's metrics listener answers /metrics only; the image's healthcheck asks another port for /livez.
  it('takes the healthcheck of the image for what serves, and for nothing else', () => {
    for (const [name, { command = ['serve'], healthcheck }] of latchkeys) {
      expect({ name, healthcheck }).toEqual({
        name,
        healthcheck: command[0] === 'serve' ? undefined : { disable: true },
      });
    }
  });

  it('mounts files that exist, and depends on services that exist', () => {
    for (const service of Object.values(services)) {
      for (const volume of service.volumes ?? []) {
        const [source = ''] = volume.split(':');
        expect(source.startsWith('.') ? existsSync(join('deploy', source)) : source in volumes, source).toBe(true);
      }
      const { depends_on = [], network_mode } = service;
      const names = Array.isArray(depends_on) ? (depends_on as string[]) : Object.keys(depends_on);
      for (const name of names) expect(services).toHaveProperty([name]);
      if (network_mode !== undefined) expect(services).toHaveProperty([network_mode.replace('service:', '')]);
    }
  });

  it('is reached from this machine only, each at an address of its own', () => {
    const published = Object.values(services).flatMap(({ ports = [] }) => ports);
    for (const port of published) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
    const hosts = published.map((port) => port.split(':')[1]);
    expect(new Set(hosts).size).toBe(hosts.length);
  });

  it('scrapes its sidecars and its probe', () => {
    const { scrape_configs } = parse(readFileSync('deploy/prometheus/prometheus.yaml', 'utf8')) as {
      scrape_configs: readonly { static_configs: readonly { targets: readonly string[] }[] }[];
    };
    const targets = scrape_configs.flatMap(({ static_configs }) => static_configs.flatMap((each) => each.targets));
    const served = Object.entries(services).flatMap(([name, { command = [], environment = {} }]) => {
      const address = command.includes('--metrics-address')
        ? command[command.indexOf('--metrics-address') + 1]
        : environment.LATCHKEY_METRICS_ADDRESS;
      return address === undefined || name === 'migrate' ? [] : [address.replace('0.0.0.0', name)];
    });
    expect(targets.sort()).toEqual(served.sort());
  });
});

describe('the seed of the installation', async () => {
  const database = await testDatabase();

  it('signs a visitor in, again and again', async () => {
    const sql = services.seed?.command?.at(-1) ?? '';
    await database.query(sql);
    await database.query(sql);
    const sessions = await database.query('SELECT token_hash, account_id FROM latchkey.sessions');
    expect(sessions).toEqual([{ token_hash: createHash('sha256').update('demo').digest(), account_id: 'demo' }]);
    expect(await database.query('SELECT account_id FROM latchkey.workflows')).toEqual([{ account_id: 'demo' }]);
  });
});

describeWithPeer('envoy', 'the Envoy of the installation', (envoy) => {
  it('takes its file, with the listener opened to the container', async () => {
    const [script = ''] = services.envoy?.command ?? [];
    const [, expression = ''] = /sed '([^']+)'/.exec(script) ?? [];
    const folder = await mkdtemp(join(tmpdir(), 'latchkey-compose-'));
    try {
      const original = readFileSync('deploy/envoy/envoy.yaml', 'utf8');
      const { stdout } = spawnSync('sed', [expression], { input: original, encoding: 'utf8' });
      expect(stdout.split('\n').filter((line, index) => line !== original.split('\n')[index])).toEqual([
        expect.stringContaining('address: 0.0.0.0, port_value: 10000'),
      ]);
      const file = join(folder, 'envoy.yaml');
      await writeFile(file, stdout);
      const checked = spawnSync(envoy, ['--mode', 'validate', '-c', file], { encoding: 'utf8' });
      expect(checked.status, checked.stderr).toBe(0);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
