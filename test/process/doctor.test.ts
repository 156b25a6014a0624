import { randomUUID } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AppAddresses } from '../../src/app.js';
import { CertificateAuthority } from '../support/certificates.js';
import { testDatabase } from '../support/database.js';
import { type Env, FREE_PORTS, Program, runProgram } from '../support/program.js';
import { passableTempDir } from '../support/temp-dir.js';

interface Finding {
  readonly subject: string;
  readonly severity: string;
  readonly detail: string;
  readonly remedy: string | null;
}

async function doctor(env: Env): Promise<{ readonly code: number | null; readonly findings: readonly Finding[] }> {
  const { code, stdout, stderr } = await runProgram(['doctor', '--json'], env);
  if (stdout === '') throw new Error(`doctor said nothing: ${stderr}`);
  return { code, findings: (JSON.parse(stdout) as { findings: Finding[] }).findings };
}

/** The settings of a sidecar that would listen where this one does. */
function addressesOf({ grpc, admin, http, metrics }: AppAddresses): Env {
  const host = (url: string | null) => (url?.includes('://') ? new URL(url).host : (url ?? ''));
  return {
    LATCHKEY_GRPC_ADDRESS: grpc.join(','),
    LATCHKEY_ADMIN_ADDRESS: admin ?? '',
    LATCHKEY_HTTP_ADDRESS: host(http),
    LATCHKEY_METRICS_ADDRESS: host(metrics),
  };
}

describe('doctor beside a sidecar that runs', async () => {
  const database = await testDatabase();
  const base = { ...FREE_PORTS, DATABASE_URL: database.url, LATCHKEY_SESSION_MODE: 'table' };
  let dir: string;
  beforeAll(async () => {
    dir = await passableTempDir('latchkey-doctor-');
    const authority = new CertificateAuthority('servers');
    const { cert, key } = authority.issue({ commonName: 'sidecar', dns: ['sidecar.example'] });
    for (const [name, content] of Object.entries({ cert, key, ca: authority.cert })) {
      await writeFile(join(dir, `${name}.pem`), content);
    }
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  const tls = (): Env => ({ LATCHKEY_TLS_CERT: join(dir, 'cert.pem'), LATCHKEY_TLS_KEY: join(dir, 'key.pem') });
  const listeners = async (settings: Env) => {
    const sidecar = new Program(['serve'], { ...base, ...settings });
    try {
      const { code, findings } = await doctor({ ...base, ...settings, ...addressesOf(await sidecar.ready()) });
      return { code, findings: findings.filter(({ subject }) => /^LATCHKEY_\w+_ADDRESS/.test(subject)) };
    } finally {
      sidecar.kill('SIGKILL');
      await sidecar.ended;
    }
  };

  it.each<[string, () => Env]>([
    ['in plain text', () => ({})],
    ['over TLS', tls],
    ['over TLS that wants client certificates', () => ({ ...tls(), LATCHKEY_TLS_CLIENT_CA: join(dir, 'ca.pem') })],
    ['with its metrics on a unix socket', () => ({ LATCHKEY_METRICS_ADDRESS: `unix:${join(dir, 'metrics.sock')}` })],
  ])('knows it for one: %s', async (_, settings) => {
    const { code, findings } = await listeners(settings());
    expect(findings.map(({ severity }) => severity)).toEqual(['ok', 'ok', 'ok', 'ok']);
    expect(findings[0]?.detail).toBe('in use, and a sidecar runs here');
    expect(code).toBe(0);
  });

  it('does not take it for another program when it has no metrics listener, and says what is not known', async () => {
    const { code, findings } = await listeners({ LATCHKEY_METRICS_ADDRESS: '' });
    expect(findings.map(({ severity }) => severity)).toEqual(['warn', 'warn', 'warn']);
    expect(findings[0]?.remedy).toContain('if that is no sidecar');
    expect(code).toBe(0);
  });
});

describe('doctor on the rights of a role', async () => {
  const database = await testDatabase();
  const roles: string[] = [];
  afterAll(async () => {
    for (const role of roles) {
      await database.query(`DROP OWNED BY ${role}`);
      await database.query(`DROP ROLE ${role}`);
    }
  });

  /** A new role with these rights, and the settings of a sidecar that has it. */
  async function settingsOf(grantsTo: (role: string) => readonly string[]): Promise<Env> {
    const role = `sidecar_${randomUUID().replaceAll('-', '')}`;
    await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'x'`);
    roles.push(role);
    for (const grant of grantsTo(role)) await database.query(grant);
    const url = new URL(database.url);
    url.username = role;
    url.password = 'x';
    return { ...FREE_PORTS, DATABASE_URL: url.href, LATCHKEY_SESSION_MODE: 'table' };
  }

  it('names each one that is missing, and the statement that gives it', async () => {
    const env = await settingsOf((role) => [
      `GRANT USAGE ON SCHEMA latchkey TO ${role}`,
      `GRANT SELECT ON ALL TABLES IN SCHEMA latchkey TO ${role}`,
    ]);
    const { code, findings } = await doctor(env);
    const wrong = findings.filter(({ severity }) => severity !== 'ok');
    expect(wrong.map(({ subject, severity }) => [subject, severity])).toEqual([['rights', 'fail']]);
    expect(wrong[0]?.detail).toContain('INSERT, UPDATE, DELETE on sidecars');
    expect(code).toBe(1);

    const [, statements = ''] = wrong[0]?.remedy?.split('owner of the schema: ') ?? [];
    await database.query(statements);
    expect((await doctor(env)).code).toBe(0);
  });

  it('wants no more than what the page for operators grants, and with that everything works', async () => {
    const page = await readFile('docs/operations.md', 'utf8');
    const [, block = ''] = /```sql\n(GRANT[\s\S]*?)```/.exec(page) ?? [];
    const env = await settingsOf((role) => [block.replaceAll('TO sidecar', `TO ${role}`)]);
    expect((await doctor(env)).code).toBe(0);

    const sidecar = new Program(['serve'], env);
    try {
      const { grpc, metrics } = await sidecar.ready();
      expect(await (await fetch(`${metrics}/metrics`)).text()).toContain('latchkey_lease_valid 1');
      const probe = ['probe', '--targets', grpc.join(','), '--count', '1'];
      expect((await runProgram(probe, env)).stdout).toContain('1 as promised');
    } finally {
      sidecar.kill('SIGTERM');
      await sidecar.ended;
    }
    const role = await database.client({ connectionString: env.DATABASE_URL });
    await role.query(`SELECT latchkey.prune_events('1 day', 1)`);
    await database.query('DELETE FROM latchkey.head');
    await role.query('SELECT latchkey.restore_head()');
    expect(await database.query('SELECT FROM latchkey.head')).toHaveLength(1);
    // The database cannot give up the role while it is connected.
    await role.end();
  });
});
