import { describe, expect, it } from 'vitest';
import { CleanupStack, FORCED_CLEANUP_MS, StoppedWhileStarting } from '../src/lifecycle.js';
import { whenAborted } from '../src/ports/when-aborted.js';
import { ManualTimers } from './support/manual-timers.js';

function stackWithLog() {
  const timers = new ManualTimers();
  const log: string[] = [];
  return { timers, log, stack: new CleanupStack(timers) };
}

/** A cleanup that ends only when it is told to use force. */
const untilForced = (forced: AbortSignal) => new Promise<void>((resolve) => whenAborted(forced, resolve));

describe('a cleanup stack', () => {
  it('closes last in, first out, one after the other', async () => {
    const { stack, log } = stackWithLog();
    stack.defer('database', () => void log.push('database'));
    stack.defer('server', async () => {
      await Promise.resolve();
      log.push('server');
    });
    await stack.unwind(1000);
    expect(log).toEqual(['server', 'database']);
  });

  it('closes everything once, however often it is asked', async () => {
    const { stack, log } = stackWithLog();
    stack.defer('server', () => void log.push('server'));
    await Promise.all([stack.unwind(1000), stack.unwind(1000)]);
    await stack.unwind(0);
    expect(log).toEqual(['server']);
  });

  it('tries every cleanup and joins what failed, thrown or rejected', async () => {
    const { stack, log } = stackWithLog();
    stack.defer('database', () => void log.push('database'));
    stack.defer('cache', () => Promise.reject(new Error('stuck')));
    stack.defer('server', () => {
      throw new Error('in use');
    });
    await expect(stack.unwind(1000)).rejects.toThrow('server: in use; cache: stuck');
    expect(log).toEqual(['database']);
    await expect(stack.unwind(1000)).rejects.toBeInstanceOf(AggregateError);
  });

  it('is graceful until the deadline and uses force after it, for what comes later too', async () => {
    const { stack, log, timers } = stackWithLog();
    stack.defer('database', (forced) => void log.push(`database forced=${forced.aborted}`));
    stack.defer('server', async (forced) => {
      log.push(`server forced=${forced.aborted}`);
      await untilForced(forced);
    });
    const unwound = stack.unwind(5000);
    await timers.advance(4999);
    expect(log).toEqual(['server forced=false']);
    await timers.advance(1);
    await unwound;
    expect(log).toEqual(['server forced=false', 'database forced=true']);
  });

  it('uses force at once when told so', async () => {
    const { stack } = stackWithLog();
    stack.defer('server', untilForced);
    const unwound = stack.unwind(60_000);
    stack.forceNow();
    await expect(unwound).resolves.toBeUndefined();
  });

  it('leaves behind what does not end even by force, and goes on', async () => {
    const { stack, log, timers } = stackWithLog();
    stack.defer('database', () => void log.push('database'));
    stack.defer('server', () => new Promise(() => {}));
    const outcome = expect(stack.unwind(5000)).rejects.toThrow('server: did not close in time');
    await timers.advance(5000 + FORCED_CLEANUP_MS);
    await outcome;
    expect(log).toEqual(['database']);
  });

  it('leaves no timer behind', async () => {
    const { stack, timers } = stackWithLog();
    stack.defer('server', untilForced);
    const unwound = stack.unwind(5000);
    stack.forceNow();
    await unwound;
    expect(timers.size).toBe(0);
  });

  it('cleans up after a start that failed, and rejects with its error', async () => {
    const { stack, log } = stackWithLog();
    const start = stack.guard(1000, async () => {
      stack.defer('database', () => void log.push('database'));
      throw new Error('port in use');
    });
    await expect(start).rejects.toThrow('port in use');
    expect(log).toEqual(['database']);
  });

  it('joins the error of a start with those of its cleanup', async () => {
    const { stack } = stackWithLog();
    const start = stack.guard(1000, async () => {
      stack.defer('database', () => Promise.reject(new Error('stuck')));
      throw new Error('port in use');
    });
    await expect(start).rejects.toMatchObject({ message: 'port in use', errors: [{ message: 'port in use' }, {}] });
  });

  it.each(['during', 'after'])(
    'closes what a start opens %s the stop that overtook it, and ends that start',
    async (when) => {
      const { stack, log } = stackWithLog();
      if (when === 'during') stack.defer('server', untilForced);
      const unwound = stack.unwind(5000);
      if (when === 'after') await unwound;
      expect(() => stack.defer('late', () => void log.push('late'))).toThrow(StoppedWhileStarting);
      stack.forceNow();
      await unwound;
      expect(log).toEqual(['late']);
    },
  );
});
