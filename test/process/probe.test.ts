import { rm } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Reason } from '../../src/domain/reason.js';
import { testDatabase } from '../support/database.js';
import { FakeAuthorizer, startGrpcServer, stopGrpcServers } from '../support/grpc.js';
import { FREE_PORTS, Program, runProgram } from '../support/program.js';
import { passableTempDir } from '../support/temp-dir.js';
import { waitUntil } from '../support/wait-until.js';

interface Report {
  readonly rounds: { readonly ok: number; readonly violated: number; readonly incomplete: number };
  readonly wrongly_allowed: number;
  readonly wrongly_refused: number;
  readonly undecided: number;
  readonly last_failures: readonly { readonly target: string; readonly finding: string; readonly reason: string }[];
  readonly revoke_to_refused_ms: { readonly count: number; readonly p50: number; readonly max: number } | null;
}

describe('the probe', async () => {
  const database = await testDatabase();
  const env = { DATABASE_URL: database.url };
  const sidecars: Program[] = [];
  let targets: string[] = [];

  beforeAll(async () => {
    const settings = { ...FREE_PORTS, ...env, LATCHKEY_SESSION_MODE: 'table' };
    sidecars.push(new Program(['serve'], settings), new Program(['serve'], settings));
    targets = (await Promise.all(sidecars.map((each) => each.ready()))).map(({ grpc }) => grpc[0] ?? '');
  });
  afterAll(async () => {
    await stopGrpcServers();
    for (const sidecar of sidecars) sidecar.kill('SIGKILL');
    await Promise.all(sidecars.map((each) => each.ended));
  });

  const probe = async (addresses: readonly string[], count: number, ...more: string[]) => {
    const args = ['probe', '--targets', addresses.join(','), '--count', String(count), '--interval', '0', '--json'];
    const { code, stdout, stderr } = await runProgram([...args, ...more], env);
    if (stdout === '') throw new Error(`the probe reported nothing: ${stderr}`);
    return { code, stderr, report: JSON.parse(stdout) as Report };
  };

  it('finds that every sidecar refuses a key as soon as its revocation is confirmed', async () => {
    const { code, report } = await probe(targets, 5);
    expect(report).toMatchObject({
      rounds: { ok: 5, violated: 0, incomplete: 0 },
      wrongly_allowed: 0,
      wrongly_refused: 0,
      undecided: 0,
      revoke_to_refused_ms: { count: 10 },
    });
    expect(report.revoke_to_refused_ms?.max).toBeGreaterThanOrEqual(report.revoke_to_refused_ms?.p50 ?? Infinity);
    expect(code).toBe(0);
  });

  it('fails when a target accepts a revoked key, and follows it to the end', async () => {
    const late = new FakeAuthorizer();
    let asked = 0;
    // The first question comes before the revocation; two more are answered as if nobody had told of it.
    late.answer('workflows.list', () => late.verdict(++asked <= 3 ? Reason.GRANTED : Reason.KEY_REVOKED));
    const { address } = await startGrpcServer({ authorizer: late });
    const { code, report } = await probe([...targets, address], 1);
    expect(report).toMatchObject({ rounds: { violated: 1 }, wrongly_allowed: 1, revoke_to_refused_ms: { count: 3 } });
    expect(asked).toBe(4);
    expect(code).toBe(1);
  });

  it('fails when a target refuses a good key', async () => {
    const deaf = new FakeAuthorizer();
    deaf.answer('workflows.list', () => deaf.verdict(Reason.KEY_UNKNOWN));
    const { address } = await startGrpcServer({ authorizer: deaf });
    const { code, report } = await probe([address], 1);
    expect(report).toMatchObject({ rounds: { violated: 1 }, wrongly_allowed: 0, wrongly_refused: 1 });
    expect(report.last_failures).toEqual([{ target: address, finding: 'wrongly_refused', reason: 'KEY_UNKNOWN' }]);
    expect(code).toBe(1);
  });

  it('fails when a target refuses a revoked key as one that it does not know', async () => {
    const forgetful = new FakeAuthorizer();
    let asked = 0;
    forgetful.answer('workflows.list', () => forgetful.verdict(++asked === 1 ? Reason.GRANTED : Reason.KEY_UNKNOWN));
    const { address } = await startGrpcServer({ authorizer: forgetful });
    const { code, report } = await probe([address], 1);
    expect(report).toMatchObject({ rounds: { violated: 1 }, wrongly_allowed: 0, wrongly_refused: 1 });
    expect(code).toBe(1);
  });

  it('takes a target that has something else against the call for one that accepts the revoked key', async () => {
    const late = new FakeAuthorizer();
    const verdicts = [Reason.GRANTED, Reason.PERMISSION_MISSING, Reason.KEY_REVOKED];
    late.answer('workflows.list', () => late.verdict(verdicts.shift() ?? Reason.KEY_REVOKED));
    const { address } = await startGrpcServer({ authorizer: late });
    const { code, report } = await probe([address], 1);
    expect(report).toMatchObject({ rounds: { violated: 1 }, wrongly_allowed: 1 });
    expect(code).toBe(1);
  });

  it.each([
    ['bogus', 'METHOD_UNKNOWN'],
    ['nodes.getOutput', 'WORKFLOW_REQUIRED'],
  ])('calls nothing broken when the method %s is refused to every key, stops, and says why', async (method, reason) => {
    const args = ['probe', '--targets', targets.join(','), '--method', method, '--json'];
    const { code, stdout, stderr } = await runProgram(args, env);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    const { error } = JSON.parse(stderr) as { error: { message: string; hint: string } };
    expect(error.message).toBe(`${targets[0]} refuses the method "${method}" of a good key: ${reason}`);
    expect(error.hint).toContain('--method');
  });

  it('does not take a target for good that cannot be asked', async () => {
    const { code, report } = await probe([...targets, '127.0.0.1:1'], 1);
    expect(report).toMatchObject({ rounds: { ok: 0, violated: 0, incomplete: 1 }, undecided: 2, wrongly_allowed: 0 });
    expect(report.last_failures).toEqual([
      { target: '127.0.0.1:1', finding: 'undecided', reason: expect.stringContaining('ECONNREFUSED') },
    ]);
    expect(code).toBe(1);
    const args = ['probe', '--targets', '127.0.0.1:1', '--count', '1'];
    expect((await runProgram(args, env)).stdout).toMatch(
      /TARGET +LAST FAILURE +REASON\n127\.0\.0\.1:1 +undecided +.*ECONN/,
    );
  });

  it('leaves no key behind that still works, and no raw key in what it writes', async () => {
    const { stderr, report } = await probe(targets, 2);
    expect(JSON.stringify(report) + stderr).not.toContain('nk_live_');
    const left = await database.query(
      `SELECT id FROM latchkey.api_keys WHERE account_id = 'latchkey-probe' AND (revoked_at IS NULL OR expires_at IS NULL)`,
    );
    expect(left).toEqual([]);
  });

  it('exports what it sees while it goes on, and ends with its figures when told to', async () => {
    const folder = await passableTempDir('latchkey-probe-');
    const socket = join(folder, 'metrics.sock');
    const args = ['probe', '--targets', targets.join(','), '--interval', '1h', '--metrics-address', `unix:${socket}`];
    const running = new Program(args, env);
    const scrape = () => scrapeSocket(socket);
    await waitUntil('a round is exported', async () => (await scrape()).includes('_rounds_total{outcome="ok"} 1'));
    const exported = await scrape();
    for (const target of targets) {
      expect(exported).toContain(`latchkey_probe_wrongly_allowed_total{target="${target}"} 0`);
      expect(exported).toContain(`latchkey_probe_revoke_to_refused_seconds_count{target="${target}"} 1`);
    }
    running.kill('SIGTERM');
    const { code, stdout } = await running.ended;
    expect(stdout).toMatch(/rounds +1 as promised, 0 violated, 0 incomplete/);
    expect(stdout).toMatch(/refused +2 /);
    expect(code).toBe(0);
    await rm(folder, { recursive: true, force: true });
  });

  it.each([
    [['--targets', 'nonsense'], 'is no target'],
    [['--targets', '127.0.0.1:1', '--count', '0'], '--count must be'],
    [['--targets', '127.0.0.1:1', '--interval', 'soon'], '--interval must be'],
    [['--targets', '127.0.0.1:1', '--metrics-address', 'x'], '--metrics-address must be'],
    [[], '--targets'],
  ])('refuses %j and tries nothing', async (args, complaint) => {
    const { code, stderr } = await runProgram(['probe', ...args], env);
    expect(stderr).toContain(complaint);
    expect(code).toBe(2);
  });
});

/** The metrics on a unix socket; empty when nobody listens there yet. */
async function scrapeSocket(socketPath: string): Promise<string> {
  return await new Promise((resolve) => {
    const call = request({ socketPath, path: '/metrics' }, (response) => void text(response).then(resolve));
    call.on('error', () => resolve(''));
    call.end();
  });
}
