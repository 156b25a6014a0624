import { describe, expect, it } from 'vitest';
import { type DescriptorWriter, LOG_BACKLOG_MAX_BYTES, LogSink } from '../../src/observability/log-sink.js';
import { ManualTimers } from '../support/manual-timers.js';

/** A descriptor whose writes end when the test says how. */
class FakeDescriptor implements DescriptorWriter {
  text = '';
  private pending: { bytes: Uint8Array; done: (error: NodeJS.ErrnoException | null, written: number) => void }[] = [];

  write(_fd: number, bytes: Uint8Array, done: (error: NodeJS.ErrnoException | null, written: number) => void): void {
    this.pending.push({ bytes, done });
  }

  writeSync(_fd: number, bytes: Uint8Array): number {
    this.text += Buffer.from(bytes).toString();
    return bytes.length;
  }

  get writes(): number {
    return this.pending.length;
  }

  accept(atMost = Number.POSITIVE_INFINITY): void {
    const { bytes, done } = this.pending.shift() ?? expect.fail('no write is pending');
    const taken = bytes.subarray(0, atMost);
    this.text += Buffer.from(taken).toString();
    done(null, taken.length);
  }

  refuse(code: string): void {
    const { done } = this.pending.shift() ?? expect.fail('no write is pending');
    done(Object.assign(new Error(code), { code }), 0);
  }
}

function sinkOn(descriptor: FakeDescriptor) {
  const timers = new ManualTimers();
  return { timers, sink: new LogSink(2, timers, descriptor) };
}

describe('the log sink', () => {
  it('writes lines in order, one write at a time', () => {
    const descriptor = new FakeDescriptor();
    const { sink } = sinkOn(descriptor);
    sink.write('a\n');
    sink.write('b\n');
    sink.write('c\n');
    expect(descriptor.writes).toBe(1);
    descriptor.accept();
    descriptor.accept();
    expect(descriptor.text).toBe('a\nb\nc\n');
    expect(descriptor.writes).toBe(0);
  });

  it('goes on where a short write ended', () => {
    const descriptor = new FakeDescriptor();
    const { sink } = sinkOn(descriptor);
    sink.write('hello\n');
    descriptor.accept(2);
    descriptor.accept();
    expect(descriptor.text).toBe('hello\n');
  });

  it('tries again when the reader is slow', async () => {
    const descriptor = new FakeDescriptor();
    const { sink, timers } = sinkOn(descriptor);
    sink.write('a\n');
    descriptor.refuse('EAGAIN');
    expect(descriptor.writes).toBe(0);
    await timers.advance(1000);
    descriptor.accept();
    expect(descriptor.text).toBe('a\n');
  });

  it('survives a reader that is gone', () => {
    const descriptor = new FakeDescriptor();
    const { sink } = sinkOn(descriptor);
    sink.write('a\n');
    descriptor.refuse('EPIPE');
    sink.write('b\n');
    descriptor.accept();
    expect(descriptor.text).toBe('b\n');
  });

  it('holds a bounded backlog, drops what is beyond it, and says how many lines were lost', () => {
    const descriptor = new FakeDescriptor();
    const { sink } = sinkOn(descriptor);
    const line = `${'x'.repeat(1023)}\n`;
    const fitting = LOG_BACKLOG_MAX_BYTES / line.length;
    for (let i = 0; i < fitting + 5; i++) sink.write(line);
    while (descriptor.writes > 0) descriptor.accept();
    const lines = descriptor.text.trimEnd().split('\n');
    expect(lines.filter((each) => each.startsWith('x'))).toHaveLength(fitting);
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ level: 'warn', dropped: 5 });
  });

  it('writes what waits when the process ends', () => {
    const descriptor = new FakeDescriptor();
    const { sink } = sinkOn(descriptor);
    sink.write('in flight\n');
    sink.write('last words\n');
    sink.flushSync();
    expect(descriptor.text).toBe('last words\n');
  });
});
