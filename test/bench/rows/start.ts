import { execFileSync } from 'node:child_process';
import { systemClock } from '../../../src/observability/system-clock.js';
import { BenchProgram } from '../bench-program.js';
import { inTurns } from '../in-turns.js';
import type { BenchContext, Finding, Row } from '../row.js';
import { median } from '../statistics.js';

/** From the start of the process until it takes traffic. */
export const startRow: Row = {
  name: 'start',
  title: 'start to ready, warm database',
  method:
    'From spawn to the log line "ready", when all listeners are bound, the schema is checked and the first lease is held; in turns with a bare node -e 0 and a node that connects to the same database with pg and leaves.',
  async run({ databases, quick }: BenchContext): Promise<readonly Finding[]> {
    const { url } = await databases.create(1000);
    const node = (code: string): number => {
      const startedMs = systemClock.monotonicMs();
      execFileSync(process.execPath, ['--input-type=module', '-e', code]);
      return systemClock.monotonicMs() - startedMs;
    };
    const connect = `import pg from 'pg'; const c = new pg.Client(${JSON.stringify(url)}); await c.connect(); await c.query('SELECT 1'); await c.end();`;
    const measurements = {
      bare: async () => node('0'),
      connect: async () => node(connect),
      ready: async () => {
        const program = await BenchProgram.start({ databaseUrl: url });
        await program.stop();
        return program.readyAfterMs;
      },
    };
    await inTurns(1, measurements);
    const rounds = await inTurns(quick ? 3 : 9, measurements);
    const ready = median(rounds.map((round) => round.ready));
    return [
      {
        what: 'start to ready',
        measured: { value: ready, unit: 'ms' },
        ceiling: { value: median(rounds.map((round) => round.connect)), unit: 'ms', what: 'node, connect, SELECT 1' },
        score: ready,
        bound: { atMost: 1000 },
        detail: { bareNodeMs: median(rounds.map((round) => round.bare)) },
      },
    ];
  },
};
