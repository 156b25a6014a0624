import { createRequire } from 'node:module';
import { WatchedFields } from './watched-fields.js';

/** Any object of the Kubernetes API. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec?: unknown;
  readonly data?: Readonly<Record<string, string>>;
}

/** The class that the packages have for a kind; its validator looks at whatever `this` is. */
interface Model {
  readonly prototype: { validate(this: unknown): void };
}

const load = createRequire(import.meta.url);

/** What is wrong with an object, by the schema of its kind; unknown fields are wrong too. */
export function schemaProblems(object: KubernetesObject): string[] {
  const model = modelOf(object);
  if (model === undefined) return [`there is no schema of ${object.apiVersion} ${object.kind}`];
  const fields = new WatchedFields();
  try {
    model.prototype.validate.call(fields.watch(object));
  } catch (error) {
    return [(error as Error).message];
  }
  return fields.unseen(object).map((path) => `${path} is no field of ${object.kind}`);
}

function modelOf({ apiVersion, kind }: KubernetesObject): Model | undefined {
  const name = apiVersion.startsWith('monitoring.coreos.com/')
    ? '@kubernetes-models/prometheus-operator'
    : 'kubernetes-models';
  try {
    return (load(`${name}/${apiVersion}/${kind}`) as Record<string, Model>)[kind];
  } catch {
    return undefined;
  }
}
