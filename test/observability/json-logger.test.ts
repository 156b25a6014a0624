import { describe, expect, it } from 'vitest';
import { Failure } from '../../src/domain/failure.js';
import { mintRawKey } from '../../src/domain/raw-key.js';
import { jsonLogger, type LogLevel } from '../../src/observability/json-logger.js';

function capture(level: LogLevel = 'debug') {
  const lines: string[] = [];
  return { logger: jsonLogger(level, { write: (line) => void lines.push(line) }), lines };
}

describe('the JSON logger', () => {
  it('writes one line of JSON a message, with level, time, message and fields', () => {
    const { logger, lines } = capture();
    logger.info('key revoked', { keyId: 'k1', sequence: 12n });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^\{.*\}\n$/);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      message: 'key revoked',
      keyId: 'k1',
      sequence: 12,
    });
  });

  it('leaves out what is less important than its level', () => {
    const { logger, lines } = capture('warn');
    logger.debug('a');
    logger.info('b');
    logger.warn('c');
    logger.error('d');
    expect(lines.map((line) => JSON.parse(line).message)).toEqual(['c', 'd']);
  });

  it('adds the fields of a child to each of its lines', () => {
    const { logger, lines } = capture();
    logger.child({ worker: 3 }).child({ listener: 'grpc' }).info('ready');
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ worker: 3, listener: 'grpc', message: 'ready' });
  });

  it('never writes a raw key, wherever it stands', () => {
    const { logger, lines } = capture();
    const key = mintRawKey();
    const inner = new Failure('unavailable', 'no database', { cause: new Error(`duplicate ${key}`) });
    const error = new AggregateError([inner, key], `could not store ${key}`, { cause: inner });
    logger.error(`message ${key}`, { error, nested: { deep: [{ [key]: key }] }, text: `Bearer ${key}` });
    logger.child({ key }).warn('child', { cause: { error: key } });
    expect(lines.join('')).not.toContain(key.slice(12));
    expect(lines.join('')).not.toContain(key.slice(12, 40));
  });

  it('writes of an error its type, text, stack, code, kind and causes, and no rows that a driver hung on it', () => {
    const { logger, lines } = capture();
    const driver = Object.assign(new Error('duplicate key'), { code: '23505', detail: 'Key (key_hash)=(\\x01)' });
    logger.error('failed', { error: new Failure('unavailable', 'try again', { cause: driver }) });
    const { error } = JSON.parse(lines[0] ?? '');
    expect(error).toMatchObject({ type: 'Failure', kind: 'unavailable', message: 'try again' });
    expect(error.cause).toMatchObject({ type: 'Error', code: '23505', message: 'duplicate key' });
    expect(error.cause).not.toHaveProperty('detail');
  });

  it('ends on a chain of causes that has no end', () => {
    const { logger, lines } = capture();
    const error = new Error('loop');
    error.cause = error;
    logger.error('failed', { error });
    expect(lines).toHaveLength(1);
  });
});
