import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createLatchkeyClient } from 'latchkey/client';
import { ExampleBackend } from './backend.js';
import { Gateway } from './gateway.js';

const { LATCHKEY_ADDRESS = '127.0.0.1:50051', HOST = '127.0.0.1', PORT = '3000' } = process.env;

const latchkey = createLatchkeyClient({ address: LATCHKEY_ADDRESS });
const server = createServer((_request, response) => response.writeHead(404).end());
const gateway = new Gateway(server, latchkey, new ExampleBackend());

async function stop(): Promise<void> {
  await gateway.close();
  latchkey.close();
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop());

server.listen(Number(PORT), HOST);
await once(server, 'listening');
console.log(`websocket gateway on http://${HOST}:${(server.address() as AddressInfo).port}`);

// Until the gateway is closed. Where it cannot go on, the process ends: nobody would hear of revocations.
await gateway.followRevocations();
