import { write, writeSync } from 'node:fs';
import type { Timers } from '../ports/clock.js';

/** Most bytes of log lines that wait for a slow reader; lines beyond it are dropped and counted. */
export const LOG_BACKLOG_MAX_BYTES = 1024 * 1024;

/** Pause, in ms, before a descriptor that would not take more is tried again. */
const RETRY_MS = 50;

/** Writes to a file descriptor; as `fs.write` and `fs.writeSync`. */
export interface DescriptorWriter {
  write(fd: number, bytes: Uint8Array, done: (error: NodeJS.ErrnoException | null, written: number) => void): void;
  writeSync(fd: number, bytes: Uint8Array): number;
}

const fileSystem: DescriptorWriter = { write, writeSync };

/**
 * Where log lines go: a file descriptor, written to without ever blocking the event loop.
 *
 * A reader that is stuck or gone costs log lines, never decisions: what waits is bounded, what does not fit is dropped,
 * and a line says how many were. (`process.stderr` blocks on a full pipe.)
 */
export class LogSink {
  private waiting: Uint8Array[] = [];
  private waitingBytes = 0;
  private dropped = 0;
  private busy = false;

  constructor(
    private readonly fd: number,
    private readonly timers: Timers,
    private readonly descriptor: DescriptorWriter = fileSystem,
  ) {}

  /** Takes one line, with its newline. Never throws. */
  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.waitingBytes + bytes.length > LOG_BACKLOG_MAX_BYTES) {
      this.dropped++;
      return;
    }
    this.waiting.push(bytes);
    this.waitingBytes += bytes.length;
    if (!this.busy) this.pump();
  }

  /** Writes what waits, before the process exits. Gives up at the first refusal: a stuck reader must not hold an exit. */
  flushSync(): void {
    let bytes = this.take();
    try {
      while (bytes.length > 0) bytes = bytes.subarray(this.descriptor.writeSync(this.fd, bytes));
    } catch {
      // The process is about to end and has nobody else to tell.
    }
  }

  private take(): Uint8Array {
    if (this.dropped > 0) {
      const notice = { level: 'warn', message: 'log lines dropped: the reader is too slow', dropped: this.dropped };
      this.waiting.push(Buffer.from(`${JSON.stringify(notice)}\n`));
      this.dropped = 0;
    }
    const bytes = Buffer.concat(this.waiting);
    this.waiting = [];
    this.waitingBytes = 0;
    return bytes;
  }

  private pump(): void {
    if (this.waiting.length === 0 && this.dropped === 0) return;
    this.busy = true;
    this.send(this.take());
  }

  private send(bytes: Uint8Array): void {
    // Counted as waiting until it is written, so that the bound holds for it as well.
    this.waitingBytes += bytes.length;
    this.descriptor.write(this.fd, bytes, (error, written) => {
      this.waitingBytes -= bytes.length;
      if (error?.code === 'EAGAIN') {
        this.waitingBytes += bytes.length;
        this.timers.after(RETRY_MS, () => {
          this.waitingBytes -= bytes.length;
          this.send(bytes);
        });
        return;
      }
      if (error === null && written < bytes.length) {
        this.send(bytes.subarray(written));
        return;
      }
      this.busy = false;
      this.pump();
    });
  }
}
