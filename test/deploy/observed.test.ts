import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { CertificateAuthority } from '../support/certificates.js';
import { testDatabase } from '../support/database.js';
import { describeWithPeer, findPeer } from '../support/peers.js';
import { FREE_PORTS, Program, runProgram } from '../support/program.js';
import { waitUntil } from '../support/wait-until.js';
import { freePort, Prometheus } from './prometheus.js';

const RULES = resolve('deploy/prometheus/rules.yaml');
const DASHBOARD = 'deploy/grafana/dashboards/latchkey.json';
const SESSION = 'session-of-acme';

interface Panel {
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string }[];
}

interface Dashboard {
  readonly panels: readonly Panel[];
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
}

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly record?: string; readonly alert?: string; readonly expr: string }[];
  }[];
}

/** What stands for the variables of Grafana. */
const VARIABLES: Readonly<Record<string, string>> = {
  __rate_interval: '4s',
  __range: '1m',
  job: 'latchkey',
  instance: '.*',
};

function withoutVariables(expression: string): string {
  return expression.replace(/\$(\w+)/g, (whole, name: string) => VARIABLES[name] ?? whole);
}

/** Names of series in an expression: every word that is none of PromQL's and no label. */
function seriesIn(expression: string): string[] {
  const bare = expression
    .replace(/"[^"]*"/g, '""')
    .replace(/\{[^}]*\}/g, '')
    .replace(/\[[^\]]*\]/g, '')
    .replace(/\b(by|without|on|ignoring)\s*\([^)]*\)/g, '');
  return [...bare.matchAll(/[a-zA-Z_:][\w:]*(?!\w|\s*\()/g)]
    .map(([word]) => word)
    .filter((word) => !/^(and|or|unless|bool|offset|e\d*)$/.test(word));
}

const dashboard = JSON.parse(readFileSync(DASHBOARD, 'utf8')) as Dashboard;
const rules = (parse(readFileSync(RULES, 'utf8')) as Rules).groups.flatMap((group) => group.rules);

describe('the dashboard', () => {
  it('has no panel over another', () => {
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.x + gridPos.w))).toBe(24);
  });

  it('begins with the guarantee', () => {
    expect(dashboard.panels[0]).toMatchObject({ type: 'row', title: 'The guarantee' });
  });
});

describe('every alert', () => {
  it('is explained to whoever is woken by it', () => {
    const runbook = readFileSync('docs/operations.md', 'utf8');
    const unexplained = rules.flatMap(({ alert }) => (alert === undefined || runbook.includes(alert) ? [] : [alert]));
    expect(unexplained).toEqual([]);
  });
});

describeWithPeer('promtool', 'promtool', (promtool) => {
  it.each([
    ['finds no mistake in the rules', 'check', 'rules', RULES],
    ['finds no mistake in what is scraped', 'check', 'config', 'deploy/prometheus/prometheus.yaml'],
    [
      'sees every alert fire when it should and stay quiet when it should',
      'test',
      'rules',
      'deploy/prometheus/rules.test.yaml',
    ],
  ])('%s', (_, ...args) => {
    const { status, stdout, stderr } = spawnSync(promtool, args, { encoding: 'utf8' });
    expect({ status, output: status === 0 ? '' : stdout + stderr }).toEqual({ status: 0, output: '' });
  });

  it('has a test of every alert', () => {
    const tested = readFileSync('deploy/prometheus/rules.test.yaml', 'utf8');
    expect(rules.flatMap(({ alert }) => (alert === undefined || tested.includes(alert) ? [] : [alert]))).toEqual([]);
  });
});

describeWithPeer('prometheus', 'a real Prometheus that scrapes two sidecars and a probe', async (binary) => {
  const database = await testDatabase();
  let prometheus: Prometheus;
  let known: Set<string>;
  let metricsUrl = '';
  let folder = '';
  const sidecars: Program[] = [];

  beforeAll(async () => {
    await database.query('INSERT INTO latchkey.sessions VALUES ($1, $2, $3)', [
      createHash('sha256').update(SESSION).digest(),
      'acme',
      '2099-01-01T00:00:00Z',
    ]);
    folder = await mkdtemp(join(tmpdir(), 'latchkey-observed-'));
    const { cert, key } = new CertificateAuthority('tests').issue({ commonName: 'sidecar', ips: ['127.0.0.1'] });
    await writeFile(join(folder, 'tls.crt'), cert);
    await writeFile(join(folder, 'tls.key'), key);

    const env = { ...FREE_PORTS, DATABASE_URL: database.url, LATCHKEY_SESSION_MODE: 'table' };
    sidecars.push(new Program(['serve'], env));
    sidecars.push(
      new Program(['serve'], {
        ...env,
        LATCHKEY_TLS_CERT: join(folder, 'tls.crt'),
        LATCHKEY_TLS_KEY: join(folder, 'tls.key'),
        LATCHKEY_ROUTES_FILE: resolve('deploy/routes.yaml'),
      }),
    );
    const [plain, secure] = await Promise.all(sidecars.map((each) => each.ready()));
    metricsUrl = plain?.metrics ?? '';
    const targets = [plain, secure].map((each) => ({ url: each?.metrics ?? '' }));
    const probeAddress = `127.0.0.1:${await freePort()}`;
    const asked = [plain, secure].map((each) => each?.grpc[0] ?? '');
    // Asked in plain text, the second gives no decision, which is one more thing to show.
    const watch = ['probe', '--targets', asked.join(','), '--interval', '1s', '--metrics-address', probeAddress];
    sidecars.push(new Program(watch, { DATABASE_URL: database.url }));
    targets.push({ url: `http://${probeAddress}` });
    prometheus = await Prometheus.start(binary, targets, RULES);
    await waitUntil('all are scraped', async () => (await prometheus.query('up == 1')).result.length === 3);
    await useAndRevoke(plain?.http ?? '', plain?.grpc[0] ?? '');
    const seen = 'increase(latchkey_revocation_confirmed_seconds_count[1m]) > 0';
    await waitUntil('the revocation is seen', async () => (await prometheus.query(seen)).result.length > 0);
    known = await prometheus.seriesNames();
  });

  afterAll(async () => {
    await prometheus?.stop();
    for (const sidecar of sidecars) sidecar.kill('SIGKILL');
    await Promise.all(sidecars.map((each) => each.ended));
    await rm(folder, { recursive: true, force: true });
  });

  /** A key, two decisions, and a revocation that both sidecars confirm; then one more. */
  async function useAndRevoke(http: string, grpc: string): Promise<void> {
    const call = async (method: string, path: string, body?: object) => {
      const response = await fetch(`${http}${path}`, {
        method,
        headers: { cookie: `session=${SESSION}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      expect(response.ok, await response.clone().text()).toBe(true);
      return (await response.json()) as { id: string; raw_key: string };
    };
    for (let round = 0; round < 2; round++) {
      const key = await call('POST', '/api/keys', { name: 'observed' });
      const { code } = await runProgram(['check', '-', '', 'workflows.list', '--address', grpc], {}, key.raw_key);
      expect(code).toBe(0);
      await call('DELETE', `/api/keys/${key.id}`);
      // A counter that appears with its first count has no increase yet; the second round gives it one.
      await waitUntil('the revocation is scraped', async () => {
        const { result } = await prometheus.query('sum(latchkey_revocation_confirmed_seconds_count)');
        return Number(result[0]?.value[1]) === round + 1;
      });
    }
  }

  const targets = dashboard.panels.flatMap(({ title, targets: each = [] }) =>
    each.map(({ expr }) => [title, withoutVariables(expr)] as const),
  );

  it.each(targets)('understands what the panel "%s" asks: %s', async (_, expression) => {
    await prometheus.query(expression);
    expect(seriesIn(expression).length).toBeGreaterThan(0);
    expect(seriesIn(expression).filter((name) => !known.has(name))).toEqual([]);
  });

  it.each(rules.map((rule) => [rule.alert ?? rule.record ?? '', rule.expr] as const))(
    'understands the rule %s, and has what it names',
    async (_, expression) => {
      await prometheus.query(expression);
      const recorded = rules.flatMap(({ record }) => record ?? []);
      expect(seriesIn(expression).length).toBeGreaterThan(0);
      const names = seriesIn(expression).filter((name) => !recorded.includes(name) && name !== 'up');
      expect(names.filter((name) => !known.has(name))).toEqual([]);
    },
  );

  it('has an answer for every panel of the guarantee', async () => {
    const end = dashboard.panels.findIndex(({ type, title }) => type === 'row' && title !== 'The guarantee');
    for (const { title, targets: each = [] } of dashboard.panels.slice(0, end)) {
      for (const { expr } of each) {
        const { result } = await prometheus.query(withoutVariables(expr));
        expect([title, expr, result.length > 0]).toEqual([title, expr, true]);
      }
    }
    const held = await prometheus.query('sum(latchkey_lease_valid) / count(latchkey_lease_valid)');
    expect(held.result[0]?.value[1]).toBe('1');
  });

  it('shows every metric of the program somewhere: on the dashboard or in an alert', () => {
    const shown = [...targets.map(([, expr]) => expr), ...rules.map(({ expr }) => expr)].flatMap(seriesIn);
    const bare = (name: string) => name.replace(/_(bucket|sum|count)$/, '');
    const hidden = [...known].filter(
      (name) => name.startsWith('latchkey_') && !shown.some((each) => bare(each) === bare(name)),
    );
    expect(hidden).toEqual([]);
  });

  it('exposes metrics that promtool has nothing against', async () => {
    const promtool = findPeer('promtool') ?? 'promtool';
    const input = await (await fetch(`${metricsUrl}/metrics`)).text();
    const { status, stdout, stderr } = spawnSync(promtool, ['check', 'metrics'], { input, encoding: 'utf8' });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  });
});
