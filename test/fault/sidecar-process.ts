// One sidecar as a process of its own, with protections that only a test can remove. Started with an IPC channel;
// argv[2] is a JSON object: { env, protections }.
import { createApp } from '../../src/app.js';
import { parseConfig } from '../../src/config.js';
import { jsonLogger } from '../../src/observability/json-logger.js';
import { ALL_PROTECTIONS, type Protections } from '../../src/ports/protections.js';

const { env, protections } = JSON.parse(process.argv[2] ?? '{}') as {
  env: Record<string, string>;
  protections: Partial<Protections>;
};
const parsed = parseConfig(env);
if (!('config' in parsed)) throw new Error(JSON.stringify(parsed.problems));
const app = createApp(parsed.config, {
  logger: jsonLogger(parsed.config.logLevel, { write: (line) => void process.stderr.write(line) }),
  version: 'test',
  nodeVersion: process.version,
  protections: { ...ALL_PROTECTIONS, ...protections },
});
process.on('disconnect', () => process.exit(1));
process.on('SIGTERM', () => void app.stop().then(() => process.exit(0)));
process.send?.(await app.start());
