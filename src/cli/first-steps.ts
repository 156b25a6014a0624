import type { AppAddresses } from '../app.js';
import type { Config } from '../config.js';

const ACCOUNT = 'dev';
const WORKFLOW = '00000000-0000-4000-8000-000000000001';

/** What a newcomer can do with a sidecar on the embedded database, ready to paste into a shell. */
export function firstSteps(config: Config, { http, grpc, metrics }: AppAddresses): string {
  const lines = ['', 'Latchkey is ready, on a PostgreSQL of its own. Nothing outside this machine can reach it.', ''];
  if (http !== null && config.session.mode === 'dev') {
    lines.push(
      'Settings page:',
      `  ${http}/dev/login?account=${ACCOUNT}`,
      '',
      'Create a key:',
      `  KEY=$(curl -s ${http}/api/keys -H 'content-type: application/json' \\`,
      `    -b latchkey_dev_session=${ACCOUNT} -d '{"name": "My first key"}' | node -pe \\`,
      `    'JSON.parse(require("fs").readFileSync(0)).raw_key'); echo "$KEY"`,
      '',
    );
  } else {
    lines.push(
      'Create a key:',
      `  KEY=$(npx latchkey keys create 'My first key' --json | node -pe \\`,
      `    'JSON.parse(require("fs").readFileSync(0)).raw_key'); echo "$KEY"`,
      '',
    );
  }
  const address = grpc[0] ?? '';
  const option = address === '127.0.0.1:50051' ? '' : ` --address ${address}`;
  lines.push(
    'Ask whether it may call a method on a workflow:',
    `  npx latchkey check "$KEY" ${WORKFLOW} nodes.getOutput${option}`,
    '',
  );
  if (metrics !== null) lines.push('Metrics:', `  ${metrics}/metrics`, '');
  lines.push('Stop it with Ctrl-C; the data stays.', '');
  return lines.join('\n');
}
