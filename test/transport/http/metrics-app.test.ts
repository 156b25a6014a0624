import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/ports/logger.js';
import { Readiness } from '../../../src/service/readiness.js';
import { createMetricsApp } from '../../../src/transport/http/metrics-app.js';

let app: FastifyInstance;
let readiness: Readiness;

beforeEach(() => {
  readiness = new Readiness(['database', 'lease']);
  const body = '# HELP up Whether it is up.\n# TYPE up gauge\nup 1\n';
  app = createMetricsApp({
    metricsText: async () => ({ contentType: 'text/plain; version=0.0.4; charset=utf-8', body }),
    readiness,
    logger: silentLogger,
  });
});

afterEach(() => app.close());

const get = (url: string) => app.inject({ method: 'GET', url });

describe('the metrics listener', () => {
  it('serves metrics as they were written', async () => {
    const response = await get('/metrics');
    expect(response.statusCode).toBe(200);
    expect(response.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(response.body).toContain('up 1\n');
  });

  it('is alive before it is ready', async () => {
    expect((await get('/livez')).statusCode).toBe(200);
    expect((await get('/readyz')).statusCode).toBe(503);
  });

  it('says which component is missing, and is ready once all are proven', async () => {
    readiness.mark('database', true);
    expect((await get('/readyz')).json()).toEqual({
      ready: false,
      components: { database: true, lease: false, draining: false },
    });
    readiness.mark('lease', true);
    const response = await get('/readyz');
    expect(response.statusCode).toBe(200);
    expect(response.json()).toMatchObject({ ready: true });
  });

  it('is not ready while it drains, and still alive', async () => {
    readiness.mark('database', true);
    readiness.mark('lease', true);
    readiness.drain();
    expect((await get('/readyz')).json()).toMatchObject({ ready: false, components: { draining: true } });
    expect((await get('/readyz')).statusCode).toBe(503);
    expect((await get('/livez')).statusCode).toBe(200);
  });

  it('takes traffic without what it was told it may do without, and says that it is missing', async () => {
    readiness.mark('database', true);
    readiness.doWithout('lease');
    const response = await get('/readyz');
    expect(response.statusCode).toBe(200);
    expect(response.json()).toMatchObject({ ready: true, components: { lease: false } });
  });

  it('keeps the words of an error to the log', async () => {
    await app.close();
    const errors: unknown[] = [];
    app = createMetricsApp({
      metricsText: () => Promise.reject(new Error('inner detail')),
      readiness,
      logger: { ...silentLogger, error: (message, fields) => errors.push(message, fields) },
    });
    const response = await get('/metrics');
    expect(response.statusCode).toBe(500);
    expect(response.body).not.toContain('inner detail');
    expect(errors).toHaveLength(2);
  });

  it('is asked anew each time', async () => {
    for (const url of ['/metrics', '/livez', '/readyz'])
      expect((await get(url)).headers['cache-control']).toBe('no-store');
  });
});
