import { readFile } from 'node:fs/promises';
import { Registry } from 'prom-client';
import type { CommandConfig } from '../config.js';
import { defaultCatalogue } from '../domain/default-catalogue.js';
import { KeyTags } from '../domain/key-tag.js';
import { type MethodCatalogue, parseCatalogue } from '../domain/method-catalogue.js';
import { PrometheusMetrics } from '../observability/prometheus-metrics.js';
import { createAuthorizer } from '../service/authorize.js';
import { PostgresKeySource } from '../store/postgres/postgres-key-source.js';
import { PostgresWorkflowSource } from '../store/postgres/postgres-workflow-source.js';
import type { Answer, Question } from './check.js';
import type { CliContext } from './cli-context.js';
import { commandLogger } from './command-config.js';
import { withStore } from './key-service.js';
import { version } from './version.js';

/** Decides as a sidecar would that has nothing in memory. Notes no use of the key. */
export function askDatabase(context: CliContext, config: CommandConfig, question: Question): Promise<Answer> {
  return withStore(context, config, async ({ runner }) => {
    const logger = commandLogger(context, config);
    const keys = new PostgresKeySource(runner, logger);
    const workflows = new PostgresWorkflowSource(runner, logger);
    const authorizer = createAuthorizer({
      keys: { find: async (keyHash) => (await keys.readMany([keyHash]))[0] ?? null },
      workflows: { ownerOf: async (id) => (await workflows.readMany([id]))[0] ?? null },
      catalogue: await catalogueOf(config),
      clock: context.clock,
      metrics: new PrometheusMetrics(new Registry(), { version: version(), node: process.version }),
      usage: { record() {} },
      enforceOwnership: config.workflowOwnership === 'enforce',
      requiredTags: config.keyTagRequired ? new KeyTags(config.keyTagSecrets) : null,
    });
    const { reason, key } = await authorizer.authorize('authorize', question.key, question.workflow, question.method);
    return {
      reason,
      keyId: key?.id ?? '',
      accountId: key?.accountId ?? '',
      scope: key?.workflowId ?? '',
      permissions: key?.permissions ?? 0,
      appId: key?.appId ?? '',
      source: 'database',
    };
  });
}

async function catalogueOf({ methodsFile }: CommandConfig): Promise<MethodCatalogue> {
  return methodsFile === null ? defaultCatalogue() : parseCatalogue(await readFile(methodsFile, 'utf8'), methodsFile);
}
