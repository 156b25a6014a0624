import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { waitUntil } from '../support/wait-until.js';

/** A value of one series, or many. */
export interface QueryAnswer {
  readonly resultType: string;
  readonly result: readonly {
    readonly metric: Readonly<Record<string, string>>;
    readonly value: readonly [number, string];
  }[];
}

/** What is scraped. */
export interface Target {
  /** Base URL, of http or https. */
  readonly url: string;
}

/** A real Prometheus that scrapes some targets every 200 ms, with the job `latchkey`. */
export class Prometheus {
  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    readonly url: string,
  ) {}

  static async start(binary: string, targets: readonly Target[], ruleFile: string): Promise<Prometheus> {
    const folder = await mkdtemp(join(tmpdir(), 'latchkey-prometheus-'));
    const config = {
      global: { scrape_interval: '200ms', evaluation_interval: '200ms' },
      rule_files: [ruleFile],
      scrape_configs: [
        {
          job_name: 'latchkey',
          tls_config: { insecure_skip_verify: true },
          static_configs: targets.map(({ url }) => {
            const { host, protocol } = new URL(url);
            return { targets: [host], labels: { __scheme__: protocol.slice(0, -1) } };
          }),
        },
      ],
    };
    await writeFile(join(folder, 'prometheus.yaml'), stringify(config));
    const port = await freePort();
    const child = spawn(
      binary,
      [
        `--config.file=${join(folder, 'prometheus.yaml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--log.level=error',
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    const prometheus = new Prometheus(child, folder, `http://127.0.0.1:${port}`);
    await waitUntil('Prometheus is ready', async () => {
      if (child.exitCode !== null) throw new Error(`Prometheus ended with ${child.exitCode}`);
      return await fetch(`${prometheus.url}/-/ready`).then(
        (response) => response.ok,
        () => false,
      );
    });
    return prometheus;
  }

  /** Evaluates an expression now; rejects with what Prometheus has against it. */
  async query(expression: string): Promise<QueryAnswer> {
    const response = await fetch(`${this.url}/api/v1/query?query=${encodeURIComponent(expression)}`);
    const body = (await response.json()) as { status: string; error?: string; data: QueryAnswer };
    if (body.status !== 'success') throw new Error(`${expression}: ${body.error}`);
    return body.data;
  }

  /**
   * Names of all series that its targets may have: also of a counter that was never counted, which is announced without
   * a sample.
   */
  async seriesNames(): Promise<Set<string>> {
    const response = await fetch(`${this.url}/api/v1/metadata?limit=-1`);
    const { data } = (await response.json()) as { data: Record<string, readonly { readonly type: string }[]> };
    return new Set(
      Object.entries(data).flatMap(([name, [first]]) =>
        first?.type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
      ),
    );
  }

  async stop(): Promise<void> {
    const ended = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await ended;
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** A port of loopback that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
