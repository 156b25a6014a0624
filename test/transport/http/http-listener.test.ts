import { request } from 'node:http';
import fastify from 'fastify';
import { expect, it } from 'vitest';
import { HttpListener } from '../../../src/transport/http/http-listener.js';

/** A listener with one request under way that is never answered. */
async function busy() {
  const app = fastify();
  const arrived = new Promise<void>((resolve) => {
    app.get('/', () => {
      resolve();
      return new Promise(() => {});
    });
  });
  const listener = new HttpListener({
    app,
    address: { kind: 'tcp', host: '127.0.0.1', port: 0, text: '127.0.0.1:0' },
    tls: null,
  });
  const url = await listener.open();
  const cut = new Promise<string>((resolve) => {
    request(url)
      .on('error', ({ message }) => resolve(message))
      .end();
  });
  await arrived;
  return { listener, cut };
}

it('cuts what is under way once force is used', async () => {
  const { listener, cut } = await busy();
  const force = new AbortController();
  const closed = listener.close(force.signal);
  force.abort();
  await closed;
  expect(await cut).toBe('socket hang up');
});

it('cuts it at once when force was used before the listener had its turn', async () => {
  const { listener, cut } = await busy();
  await listener.close(AbortSignal.abort());
  expect(await cut).toBe('socket hang up');
});
