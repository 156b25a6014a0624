import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ExampleBackend } from './backend.js';
import { DecisionStream } from './decision-stream.js';
import { Gateway } from './gateway.js';
import { connectToLatchkey } from './latchkey-client.js';
import { RevocationFeed } from './revocation-feed.js';

const { LATCHKEY_ADDRESS = '127.0.0.1:50051', HOST = '127.0.0.1', PORT = '3000' } = process.env;

const latchkey = connectToLatchkey(LATCHKEY_ADDRESS);
const decisions = new DecisionStream(latchkey);
const server = createServer((_request, response) => response.writeHead(404).end());
const gateway = new Gateway(server, decisions, new ExampleBackend());
const feed = new RevocationFeed(latchkey, gateway);
gateway.follow(feed);
feed.open();

server.listen(Number(PORT), HOST);
await once(server, 'listening');
console.log(`websocket gateway on http://${HOST}:${(server.address() as AddressInfo).port}`);

async function stop(): Promise<void> {
  feed.close();
  await gateway.close();
  decisions.close();
  latchkey.close();
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop());
