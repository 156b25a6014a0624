import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { parseCommandConfig, parseConfig } from '../../src/config.js';
import { describeWithPeer } from '../support/peers.js';
import { type KubernetesObject, schemaProblems } from './kubernetes-schema.js';
import { type Container, kustomize, latchkeysOf, type Workload, workloadsOf } from './kustomize.js';

const FOLDER = 'deploy/kubernetes';

/** What stands in the Secrets, by their keys. */
const SECRETS: Readonly<Record<string, string>> = {
  'database-url': 'postgres://latchkey:secret@postgres.database.svc:5432/latchkey',
  'listen-database-url': 'postgres://latchkey:secret@postgres-direct.database.svc:5432/latchkey',
  'key-tag-secrets': 'a'.repeat(32),
};

type Labels = Readonly<Record<string, string>>;
type Selector = { readonly matchLabels: Labels };

/** The environment that a container's process finds. */
function environmentOf({ env = [] }: Container): Record<string, string> {
  const value = (each: (typeof env)[number]) => {
    if (each.valueFrom === undefined) return each.value ?? '';
    return SECRETS[each.valueFrom.secretKeyRef?.key ?? ''] ?? `no secret for ${each.name}`;
  };
  return Object.fromEntries(env.map((each) => [each.name, value(each)]));
}

const named = (objects: readonly KubernetesObject[], kind: string, name: string) =>
  objects.find((each) => each.kind === kind && each.metadata.name === name);

/** Whether a container runs `serve`, not a command that ends or only asks. */
const serves = ({ args }: Container) => args?.[0] === 'serve';

/** Kinds whose objects must select pods of the overlay that they are in. */
const SELECTING = ['Deployment', 'Service', 'PodDisruptionBudget', 'NetworkPolicy'];

/** The labels by which an object selects pods. */
function selectorOf({ kind, spec }: KubernetesObject): Labels | undefined {
  const { selector, podSelector } = spec as { selector?: Labels | Selector; podSelector?: Selector };
  if (kind === 'Service') return selector as Labels | undefined;
  return kind === 'NetworkPolicy' ? podSelector?.matchLabels : (selector as Selector | undefined)?.matchLabels;
}

describeWithPeer('kubectl', 'the overlays for Kubernetes', () => {
  describe.each([
    ['shared-service', ['Job latchkey-migrate', 'Deployment latchkey', 'Deployment latchkey-probe']],
    ['sidecar', ['Job latchkey-migrate', 'Deployment app']],
  ])('%s', async (overlay, expected) => {
    const objects = await kustomize(`${FOLDER}/overlays/${overlay}`);
    const workloads = workloadsOf(objects);
    const latchkeys = workloads.flatMap((workload) => latchkeysOf(workload).map((each) => [workload, each] as const));

    it('runs the program in every workload that it is made for', () => {
      expect(latchkeys.map(([{ kind, metadata }]) => `${kind} ${metadata.name}`).sort()).toEqual([...expected].sort());
    });

    it.each(objects.map((each) => [`${each.kind} ${each.metadata.name}`, each] as const))(
      'has only fields that the schema of its kind knows: %s',
      (_, object) => {
        expect(schemaProblems(object)).toEqual([]);
      },
    );

    it('sets nothing that the program would refuse', () => {
      for (const [, container] of latchkeys) {
        const parse = serves(container) ? parseConfig : parseCommandConfig;
        expect(parse(environmentOf(container))).toHaveProperty('config');
      }
    });

    it('takes secrets from Secrets, and from nowhere else', () => {
      for (const [, { env = [] }] of latchkeys) {
        const secret = env.filter(({ name }) => /DATABASE_URL|SECRET/.test(name));
        expect(secret.length).toBeGreaterThan(0);
        for (const each of secret) expect(each).toMatchObject({ valueFrom: { secretKeyRef: expect.anything() } });
      }
      expect(objects.filter(({ kind }) => kind === 'Secret')).toEqual([]);
    });

    it('needs no namespace and no Secret that the guide does not make', () => {
      const guide = readFileSync('deploy/README.md', 'utf8');
      for (const [{ metadata }, { env = [] }] of latchkeys) {
        expect(guide).toMatch(new RegExp(`namespace=.*\\b${metadata.namespace}\\b`));
        for (const { valueFrom } of env) {
          const { name, key, optional } = valueFrom?.secretKeyRef ?? { optional: true };
          if (optional !== true) expect(guide).toContain(`create secret generic ${name} --from-literal=${key}=`);
        }
      }
    });

    it('gives the process no more rights than it needs', () => {
      for (const [workload, container] of latchkeys) {
        const pod = workload.spec.template.spec;
        expect({ ...pod.securityContext, ...container.securityContext }).toMatchObject({
          runAsNonRoot: true,
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
          seccompProfile: { type: 'RuntimeDefault' },
        });
        expect(pod.automountServiceAccountToken).toBe(false);
      }
    });

    it('bounds memory, and does not throttle the CPU, for a lease needs it', () => {
      for (const [, { resources }] of latchkeys) {
        expect(Object.keys(resources?.requests ?? {}).sort()).toEqual(['cpu', 'memory']);
        expect(Object.keys(resources?.limits ?? {})).toEqual(['memory']);
      }
    });

    it('probes ports that are declared, at addresses that another machine reaches', () => {
      for (const [, container] of latchkeys.filter(([, each]) => serves(each))) {
        const environment = environmentOf(container);
        const probes = [container.startupProbe, container.readinessProbe, container.livenessProbe];
        for (const probe of probes) {
          const port =
            probe?.grpc?.port ?? container.ports?.find(({ name }) => name === probe?.httpGet?.port)?.containerPort;
          const listener = Object.values(environment).find((value) => value.endsWith(`:${port}`));
          expect(listener).toMatch(/^0\.0\.0\.0:/);
        }
        expect(container.livenessProbe?.httpGet?.path).toBe('/livez');
        const scheme = environment.LATCHKEY_TLS_CERT === undefined ? undefined : 'HTTPS';
        for (const probe of probes) if (probe?.httpGet !== undefined) expect(probe.httpGet.scheme).toBe(scheme);
      }
    });

    it('waits for the drain before it kills', () => {
      for (const [workload, container] of latchkeys.filter(([, each]) => serves(each))) {
        const drainSeconds = Number(environmentOf(container).LATCHKEY_DRAIN_MS) / 1000;
        const preStop = container.lifecycle?.preStop?.sleep?.seconds ?? 0;
        const grace = workload.spec.template.spec.terminationGracePeriodSeconds ?? 30;
        expect(grace).toBeGreaterThanOrEqual(preStop + drainSeconds + 5);
      }
    });

    it('mounts what exists, whole, so that it can change', () => {
      for (const [workload, container] of latchkeys) {
        const { volumes = [] } = workload.spec.template.spec;
        for (const mount of container.volumeMounts ?? []) {
          expect(mount.subPath).toBeUndefined();
          const volume = volumes.find(({ name }) => name === mount.name);
          expect(volume).toBeDefined();
          const { configMap } = volume ?? {};
          if (configMap !== undefined) expect(named(objects, 'ConfigMap', configMap.name)).toBeDefined();
        }
      }
    });

    it('selects the pods that it makes', () => {
      const deployments = workloads.filter(({ kind }) => kind === 'Deployment');
      const labels = deployments.map(({ spec }) => spec.template.metadata?.labels ?? {});
      const selectors = objects.filter(({ kind }) => SELECTING.includes(kind)).map(selectorOf);
      expect(selectors.length).toBeGreaterThan(2);
      for (const selector of selectors) {
        expect(labels).toContainEqual(expect.objectContaining(selector ?? { missing: true }));
      }
    });
  });

  it('starts a sidecar before the application, and ends it after', async () => {
    const objects = await kustomize(`${FOLDER}/overlays/sidecar`);
    const app = named(objects, 'Deployment', 'app') as Workload;
    const { initContainers = [], containers } = app.spec.template.spec;
    expect(initContainers).toMatchObject([
      { name: 'latchkey', restartPolicy: 'Always', startupProbe: { httpGet: { path: '/readyz' } } },
    ]);
    expect(containers.map(({ name }) => name)).toEqual(['app']);
  });

  it('probes the service at its name, lets the probe through, and has it scraped', async () => {
    const objects = await kustomize(`${FOLDER}/overlays/shared-service`);
    const probe = named(objects, 'Deployment', 'latchkey-probe') as Workload;
    const labels = probe.spec.template.metadata?.labels ?? {};
    const [{ args = [], ports } = {} as Container] = probe.spec.template.spec.containers;
    expect(named(objects, 'Service', 'latchkey')?.spec).toMatchObject({
      ports: expect.arrayContaining([expect.objectContaining({ name: 'grpc', port: 50051 })]),
    });
    expect(args).toEqual(
      expect.arrayContaining(['--targets=latchkey:50051', `--metrics-address=0.0.0.0:${ports?.[0]?.containerPort}`]),
    );
    // The service wants a certificate of whoever asks, where it has TLS.
    expect(args.filter((each) => each.startsWith('--tls-'))).toHaveLength(3);
    expect(named(objects, 'NetworkPolicy', 'latchkey')?.spec).toMatchObject({
      ingress: expect.arrayContaining([
        { from: [{ podSelector: { matchLabels: labels } }], ports: [{ port: 'grpc' }] },
      ]),
    });
    expect(named(objects, 'PodMonitor', 'latchkey-probe')?.spec).toMatchObject({
      selector: { matchLabels: labels },
      podMetricsEndpoints: [{ port: ports?.[0]?.name }],
    });
  });

  it('leaves the number of pods to the autoscaler', async () => {
    const objects = await kustomize(`${FOLDER}/overlays/shared-service`);
    expect(named(objects, 'HorizontalPodAutoscaler', 'latchkey')).toBeDefined();
    expect(named(objects, 'Deployment', 'latchkey')?.spec).not.toHaveProperty('replicas');
  });

  it('works without any of the components', async () => {
    const objects = await kustomize(`${FOLDER}/base/service`);
    expect(objects.flatMap(schemaProblems)).toEqual([]);
    const [deployment] = workloadsOf(objects);
    const [latchkey] = deployment === undefined ? [] : latchkeysOf(deployment);
    expect(parseConfig(environmentOf(latchkey as Container))).toHaveProperty('config');
    expect(latchkey?.readinessProbe).toMatchObject({ grpc: { port: 50051 } });
  });
});

describe('the check of schemas', () => {
  const container = { name: 'x', image: 'x', securityContext: { readOnlyRootFilesystem: true } };
  const deployment = (...containers: object[]): KubernetesObject => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'x', labels: { any: 'label' } },
    spec: {
      selector: { matchLabels: { any: 'label' } },
      template: { metadata: { labels: { any: 'label' } }, spec: { containers } },
    },
  });

  it('lets a good object pass', () => {
    expect(schemaProblems(deployment(container))).toEqual([]);
  });

  it.each([
    ['a misspelt field', { ...container, securityContext: { readOnlyRootFileSystem: true } }],
    ['a field in the wrong place', { ...container, terminationGracePeriodSeconds: 30 }],
    ['a value of the wrong type', { ...container, ports: [{ containerPort: '80' }] }],
    ['a field that is missing', { image: 'x' }],
  ])('finds %s', (_, broken) => {
    expect(schemaProblems(deployment(broken))).toHaveLength(1);
  });

  it('finds a kind that does not exist', () => {
    expect(schemaProblems({ ...deployment(container), kind: 'Deploymint' })).toHaveLength(1);
  });
});

describe.each(['sidecar', 'shared-service'])('the %s for Istio', (variant) => {
  const text = readFileSync(`deploy/istio/${variant}.yaml`, 'utf8');
  const objects = parseAllDocuments(text).map((document) => document.toJS() as KubernetesObject);

  it('makes the ConfigMap that it mounts, and says how to make the Secret and the schema', () => {
    const [workload] = workloadsOf(objects);
    const { volumes = [] } = workload?.spec.template.spec ?? {};
    const mounted = volumes.flatMap(({ configMap }) => configMap ?? []);
    expect(mounted).toHaveLength(1);
    for (const { name } of mounted) {
      expect(named(objects, 'ConfigMap', name)?.metadata.namespace).toBe(workload?.metadata.namespace);
    }
    expect(text).toContain('create secret generic latchkey --from-literal=database-url=');
    expect(text).toContain('latchkey migrate');
  });
});

describe('files for Kubernetes that repeat others', () => {
  it('have the routes of every other proxy', async () => {
    await expect(readFileSync('deploy/routes.yaml', 'utf8')).toMatchFileSnapshot(
      `../../${FOLDER}/base/service/routes.yaml`,
    );
  });

  it('have the alerts of Prometheus', async () => {
    const { groups } = parse(readFileSync('deploy/prometheus/rules.yaml', 'utf8')) as { groups: unknown };
    const rule = {
      apiVersion: 'monitoring.coreos.com/v1',
      kind: 'PrometheusRule',
      metadata: { name: 'latchkey' },
      spec: { groups },
    };
    const text = `# The content of deploy/prometheus/rules.yaml; npx vitest run test/deploy -u writes it anew.\n${stringify(rule, { lineWidth: 0 })}`;
    await expect(text).toMatchFileSnapshot(`../../${FOLDER}/components/monitoring/prometheus-rule.yaml`);
  });
});
