import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { freePort, PeerProcess } from '../support/peers-process.js';
import type { GameSidecar } from './sidecar.js';

const RULES = 'deploy/prometheus/rules.yaml';
const POLL_MS = 250;

/** What metrics and alerts said in a stretch of time. */
export interface Signals {
  /** Names of alerts whose expression held, or `null` without Prometheus. */
  readonly alerts: readonly string[] | null;
  /** Longest time that a sidecar did without a lease, and without LISTEN, in s, as its metrics tell. */
  readonly leaseLostS: number;
  readonly listenerDownS: number;
  /** Longest time that a sidecar could not be scraped, in s. */
  readonly unreachableS: number;
  /** Growth of `latchkey_undecided_total` by reason, and of other counters of trouble. */
  readonly counted: Readonly<Record<string, number>>;
}

interface RuleFile {
  readonly groups: { readonly rules: { for?: string; keep_firing_for?: string; alert?: string }[] }[];
}

/**
 * Watches sidecars by their metrics and, where Prometheus is installed, evaluates the shipped alert rules on them: every
 * expression as it is, but without its `for`, which would make every fault last minutes.
 */
export class Monitoring {
  private readonly alerts = new Set<string>();
  private readonly lost = new Map<string, { lease: number; listener: number; unreachable: number }>();
  private readonly first = new Map<string, ReadonlyMap<string, number>>();
  private readonly last = new Map<string, ReadonlyMap<string, number>>();
  private over = false;
  private readonly polling: Promise<unknown>;

  private constructor(
    private readonly sidecars: readonly GameSidecar[],
    private readonly prometheus: PeerProcess | null,
    private readonly port: number,
    private readonly folder: string,
  ) {
    this.polling = Promise.all([this.pollMetrics(), this.pollAlerts()]);
  }

  /** @param program path of Prometheus, or `null` */
  static async start(program: string | null, sidecars: readonly GameSidecar[]): Promise<Monitoring> {
    const folder = await mkdtemp(join(tmpdir(), 'latchkey-gameday-'));
    const port = await freePort();
    const ca = sidecars[0]?.ca ?? null;
    let prometheus: PeerProcess | null = null;
    if (program !== null) {
      const rules = parse(await readFile(RULES, 'utf8')) as RuleFile;
      for (const rule of rules.groups.flatMap((group) => group.rules)) {
        delete rule.for;
        delete rule.keep_firing_for;
      }
      await writeFile(join(folder, 'rules.yaml'), stringify(rules));
      if (ca !== null) await writeFile(join(folder, 'ca.pem'), ca);
      await writeFile(
        join(folder, 'prometheus.yaml'),
        stringify({
          global: { scrape_interval: '500ms', scrape_timeout: '400ms', evaluation_interval: '500ms' },
          rule_files: ['rules.yaml'],
          scrape_configs: [
            {
              job_name: 'latchkey',
              ...(ca === null ? {} : { scheme: 'https', tls_config: { ca_file: 'ca.pem' } }),
              static_configs: [{ targets: sidecars.map(({ metrics }) => metrics) }],
            },
          ],
        }),
      );
      prometheus = PeerProcess.start('prometheus', program, [
        `--config.file=${join(folder, 'prometheus.yaml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--log.level=warn',
      ]);
      await prometheus.waitForPort(port);
    }
    return new Monitoring(sidecars, prometheus, port, folder);
  }

  /** Forgets what was seen so far: a new stretch of time begins. */
  turn(): void {
    this.alerts.clear();
    this.lost.clear();
    this.first.clear();
  }

  get signals(): Signals {
    const counted: Record<string, number> = {};
    for (const [name, samples] of this.last) {
      for (const [series, value] of samples) {
        const reason = /^latchkey_undecided_total\{.*reason="([a-z-]+)"/.exec(series)?.[1];
        const plain = /^latchkey_(revocations_unconfirmed|served_unleased|loads_shed|tls_reloads)_total/.exec(
          series,
        )?.[1];
        const label = reason === undefined ? plain : `undecided ${reason}`;
        if (label === undefined) continue;
        const before = this.first.get(name)?.get(series) ?? 0;
        // A counter that is smaller belongs to a process that was started again.
        const growth = value >= before ? value - before : value;
        if (growth > 0) counted[label] = (counted[label] ?? 0) + growth;
      }
    }
    const longest = (pick: 'lease' | 'listener' | 'unreachable') =>
      Math.max(0, ...[...this.lost.values()].map((each) => each[pick])) / 1_000;
    return {
      alerts: this.prometheus === null ? null : [...this.alerts].sort(),
      leaseLostS: longest('lease'),
      listenerDownS: longest('listener'),
      unreachableS: longest('unreachable'),
      counted,
    };
  }

  async stop(): Promise<void> {
    this.over = true;
    await this.polling;
    await this.prometheus?.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  private async pollMetrics(): Promise<void> {
    await Promise.all(
      this.sidecars.map(async (sidecar) => {
        let lookedAtMs = performance.now();
        while (!this.over) {
          const samples = await sidecar.scrape();
          const nowMs = performance.now();
          const passedMs = nowMs - lookedAtMs;
          lookedAtMs = nowMs;
          const lost = this.lost.get(sidecar.name) ?? { lease: 0, listener: 0, unreachable: 0 };
          this.lost.set(sidecar.name, lost);
          if (samples === null) lost.unreachable += passedMs;
          else {
            if (!this.first.has(sidecar.name)) this.first.set(sidecar.name, samples);
            this.last.set(sidecar.name, samples);
            if (samples.get('latchkey_lease_valid') === 0) lost.lease += passedMs;
            if (samples.get('latchkey_listener_connected') === 0) lost.listener += passedMs;
          }
          await sleep(POLL_MS);
        }
      }),
    );
  }

  private async pollAlerts(): Promise<void> {
    if (this.prometheus === null) return;
    while (!this.over) {
      try {
        const response = await fetch(`http://127.0.0.1:${this.port}/api/v1/alerts`, {
          signal: AbortSignal.timeout(2_000),
        });
        const { data } = (await response.json()) as {
          data: { alerts: { state: string; labels: { alertname: string } }[] };
        };
        for (const { state, labels } of data.alerts) if (state === 'firing') this.alerts.add(labels.alertname);
      } catch {
        // It was just starting, or is busy; the next look follows at once.
      }
      await sleep(POLL_MS);
    }
  }
}
