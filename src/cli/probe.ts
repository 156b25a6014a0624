import { createServer } from 'node:http';
import type { Registry } from 'prom-client';
import { parseListenAddress } from '../config/listen-address.js';
import { systemTimers } from '../observability/system-timers.js';
import { sidecarClient } from './ask-sidecar.js';
import { type TlsOptions, tlsOf } from './check.js';
import type { CliContext } from './cli-context.js';
import { CliFailure, toCliFailure } from './cli-failure.js';
import { commandConfig } from './command-config.js';
import { DURATION_FORM, parseDuration } from './durations.js';
import { ExitCode } from './exit-code.js';
import { actorOf, withKeyService } from './key-service.js';
import type { Outcome } from './outcome.js';
import { type Percentiles, ProbeRecord } from './probe-record.js';
import { type ProbeRoundParts, type ProbeTarget, probeRound } from './probe-round.js';
import { pairs, table } from './table.js';

export interface ProbeOptions extends TlsOptions {
  readonly targets: string;
  readonly count?: string;
  readonly interval: string;
  readonly account: string;
  readonly method: string;
  readonly metricsAddress?: string;
}

/** `latchkey probe`. Ends after its rounds, or after the one in which a signal asks for the end. */
export async function probe(context: CliContext, options: ProbeOptions): Promise<Outcome> {
  const config = commandConfig(context);
  const addresses = targetsOf(options.targets);
  const count = countOf(options.count);
  const intervalMs = intervalOf(options.interval);
  const tls = tlsOf(options);
  const targets: readonly ProbeTarget[] = await Promise.all(
    addresses.map(async (address) => ({ address, client: await sidecarClient(address, tls) })),
  );
  const record = new ProbeRecord(addresses);
  const closeMetrics = await serveMetrics(record.registry, options.metricsAddress);
  const stop = stopSignal(context);
  try {
    await withKeyService(context, config, async (keys) => {
      const parts = { ...options, keys, targets, record, clock: context.clock, accountId: options.account };
      await rounds(context, { ...parts, actor: actorOf(context) }, count, intervalMs, stop);
    });
  } finally {
    stop.unsubscribe();
    for (const { client } of targets) client.close();
    await closeMetrics();
  }
  return outcomeOf(record);
}

async function rounds(
  context: CliContext,
  parts: ProbeRoundParts,
  count: number,
  intervalMs: number,
  stop: Stop,
): Promise<void> {
  for (let round = 1; round <= count && !stop.asked; round++) {
    try {
      parts.record.roundEnded(await probeRound(parts));
    } catch (error) {
      // No other round would show more.
      if (error instanceof CliFailure) throw error;
      parts.record.roundEnded('incomplete');
      context.err(`latchkey: round ${round}: ${toCliFailure(error).message}\n`);
    }
    if (round < count) await stop.pause(intervalMs);
  }
}

interface Stop {
  readonly asked: boolean;
  /** Resolves after so many ms, or when the stop is asked for. */
  pause(ms: number): Promise<void>;
  unsubscribe(): void;
}

function stopSignal(context: CliContext): Stop {
  let asked = false;
  let wake = (): void => {};
  const unsubscribe = context.onStop(() => {
    asked = true;
    wake();
  });
  return {
    get asked() {
      return asked;
    },
    pause: (ms) =>
      new Promise((resolve) => {
        if (asked || ms === 0) {
          resolve();
          return;
        }
        const cancel = systemTimers.after(ms, resolve);
        wake = () => {
          cancel();
          resolve();
        };
      }),
    unsubscribe,
  };
}

/** Serves `/metrics`; returns how to stop that. */
async function serveMetrics(registry: Registry, text: string | undefined): Promise<() => Promise<void>> {
  if (text === undefined) return async () => {};
  const address = parseListenAddress(text);
  if (address === undefined) throw new CliFailure(ExitCode.USAGE, '--metrics-address must be host:port or unix:/path');
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    void registry.metrics().then((body) => response.writeHead(200, { 'content-type': registry.contentType }).end(body));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(new CliFailure(ExitCode.FAILURE, `cannot listen on ${address.text}: ${error.message}`)),
    );
    server.listen(
      address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port },
      resolve,
    );
  });
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
}

function outcomeOf(record: ProbeRecord): Outcome {
  const { rounds: ended, findings, failures, confirmedMs, refusedMs } = record.summary;
  const good = ended.violated === 0 && ended.incomplete === 0;
  const row = (name: string, at: Percentiles | null) =>
    at === null ? [] : [[name, at.count, at.p50, at.p90, at.p99, at.p999, at.max].map(String)];
  return {
    exitCode: good ? ExitCode.OK : ExitCode.FAILURE,
    json: {
      rounds: ended,
      ...findings,
      last_failures: failures,
      revoke_to_confirmed_ms: confirmedMs,
      revoke_to_refused_ms: refusedMs,
    },
    text: [
      pairs([
        ['rounds', `${ended.ok} as promised, ${ended.violated} violated, ${ended.incomplete} incomplete`],
        ['wrongly allowed', String(findings.wrongly_allowed)],
        ['wrongly refused', String(findings.wrongly_refused)],
        ['undecided', String(findings.undecided)],
      ]),
      ...(failures.length === 0
        ? []
        : [
            table(
              ['TARGET', 'LAST FAILURE', 'REASON'],
              failures.map(({ target, finding, reason }) => [target, finding.replace('_', ' '), reason]),
            ),
          ]),
      table(
        ['FROM ASKING TO REVOKE, MS', 'COUNT', 'P50', 'P90', 'P99', 'P99.9', 'MAX'],
        [...row('confirmed', confirmedMs), ...row('refused', refusedMs)],
      ),
    ].join('\n\n'),
  };
}

function targetsOf(text: string): string[] {
  const targets = text.split(',').map((each) => each.trim());
  for (const target of targets) {
    if (parseListenAddress(target) === undefined) {
      throw new CliFailure(ExitCode.USAGE, `${JSON.stringify(target)} is no target: host:port or unix:/path`);
    }
  }
  return targets;
}

function countOf(text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new CliFailure(ExitCode.USAGE, '--count must be a whole number above 0');
  return Number(text);
}

function intervalOf(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new CliFailure(ExitCode.USAGE, `--interval must be ${DURATION_FORM}, or 0`);
  return ms;
}
