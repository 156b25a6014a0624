import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { Health } from '../../../src/transport/grpc/health.js';

/** A watching call, as far as health knows one. */
class Call extends EventEmitter {
  readonly written: unknown[] = [];
  constructor(readonly request: { service: string }) {
    super();
  }
  write(message: unknown): void {
    this.written.push(message);
  }
}

function watching(health: Health, service: string): Call {
  const call = new Call({ service });
  health.service.implementation['watch']?.(call as never, (() => {}) as never);
  return call;
}

describe('health', () => {
  it('forgets a watcher that has left, and never remembers one of a name that is not served', () => {
    const health = new Health(['a.Service']);
    const [stays, leaves, unknown] = [watching(health, 'a.Service'), watching(health, ''), watching(health, 'no.Such')];
    leaves.emit('cancelled');
    health.set(true);
    expect(stays.written).toEqual([{ status: 'NOT_SERVING' }, { status: 'SERVING' }]);
    expect(leaves.written).toEqual([{ status: 'NOT_SERVING' }]);
    expect(unknown.written).toEqual([{ status: 'SERVICE_UNKNOWN' }]);
  });

  it('tells a change once', () => {
    const health = new Health([]);
    const call = watching(health, '');
    for (const serving of [false, true, true, false]) health.set(serving);
    expect(call.written).toEqual([{ status: 'NOT_SERVING' }, { status: 'SERVING' }, { status: 'NOT_SERVING' }]);
  });
});
