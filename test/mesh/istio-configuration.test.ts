import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { parseConfig } from '../../src/config.js';
import { defaultCatalogue } from '../../src/domain/default-catalogue.js';
import { IDENTITY_HEADERS } from '../../src/transport/authorization-answer.js';
import { parseRoutes } from '../../src/transport/routes-file.js';

// Istio itself needs a cluster. What is checked here is what would silently open a door or close one.

async function documents(file: string) {
  const parsed = parseAllDocuments(await readFile(file, 'utf8'));
  return parsed.map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS();
  });
}

describe('the shipped configuration of Istio', () => {
  test('refuses with 503 when Latchkey does not answer, in both variants', async () => {
    const { spec } = parse(await readFile('deploy/istio/mesh-config.yaml', 'utf8'));
    const providers = spec.meshConfig.extensionProviders;
    expect(providers.map(({ name }: { name: string }) => name)).toEqual(['latchkey-sidecar', 'latchkey-shared']);
    for (const { envoyExtAuthzGrpc } of providers) {
      expect(envoyExtAuthzGrpc).toMatchObject({ failOpen: false, statusOnError: '503', port: 50051 });
    }
  });

  test('names services that exist: the pod itself, or the shared service', async () => {
    const [entry] = await documents('deploy/istio/sidecar.yaml');
    expect(entry.spec.hosts).toEqual(['latchkey.local']);
    expect(entry.spec.endpoints).toEqual([{ address: '127.0.0.1' }]);
    const shared = await documents('deploy/istio/shared-service.yaml');
    const service = shared.find(({ kind }) => kind === 'Service');
    expect(`${service.metadata.name}.${service.metadata.namespace}`).toBe('latchkey.latchkey');
  });

  test('asks about every path that is not named as open, and strips forged identities first', async () => {
    const [policy, filter] = await documents('deploy/istio/policy.yaml');
    expect(policy.spec).toMatchObject({ action: 'CUSTOM', provider: { name: 'latchkey-sidecar' } });
    expect(policy.spec.rules).toEqual([{ to: [{ operation: { notPaths: ['/healthz'] } }] }]);
    const [strip] = filter.spec.configPatches;
    expect(strip.patch.operation).toBe('INSERT_FIRST');
    const removed = strip.patch.value.typed_config.mutations.request_mutations.map(
      ({ remove }: { remove: string }) => remove,
    );
    expect(removed).toEqual(expect.arrayContaining([...IDENTITY_HEADERS]));
  });

  test('sets the program up as it wants to be', async () => {
    for (const file of ['deploy/istio/sidecar.yaml', 'deploy/istio/shared-service.yaml']) {
      const deployment = (await documents(file)).find(({ kind }) => kind === 'Deployment');
      const containers = deployment.spec.template.spec.containers as { name: string; env?: Variable[] }[];
      const variables = containers.find(({ name }) => name === 'latchkey')?.env ?? [];
      const env = Object.fromEntries(variables.map(({ name, value }) => [name, value ?? 'postgres://db/latchkey']));
      expect(Object.keys(env)).toContain('DATABASE_URL');
      expect(parseConfig(env)).toMatchObject({
        config: { routesFile: '/etc/latchkey/routes.yaml', httpAddress: null },
      });
    }
  });
});

interface Variable {
  readonly name: string;
  /** Absent where it comes from a secret. */
  readonly value?: string;
}

describe('the shipped routes', () => {
  test('are accepted as they are', async () => {
    const text = await readFile('deploy/routes.yaml', 'utf8');
    const routes = parseRoutes(text, 'deploy/routes.yaml', defaultCatalogue());
    expect(routes.match('GET', '/workflows/w1')).toMatchObject({ kind: 'matched', method: 'workflow.getInfo' });
  });
});
